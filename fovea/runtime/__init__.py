"""Run an exported network (`.onnx`) with NumPy, Pillow and onnxruntime: `load("net.onnx").predict("cat.jpg")`."""

from fovea.runtime.exported import Exported, load

__all__ = ["Exported", "load"]
