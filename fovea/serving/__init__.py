"""HTTP over predictors: bounded, batched, watched over.

A request comes through `guard` (who may ask), `admission` (whether there is room), `bodies` (what was sent), `engine`
(decoding and batches) and back. `supervisor` starts the processes, `worker` is one of them.
"""
