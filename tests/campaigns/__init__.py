"""Campaigns: thousands of damaged inputs and killed trainings, each made from a seed, so that it can be made again.

`python -m tests.campaigns` runs them by hand, as docs/security.md describes; `test_campaigns.py` runs a few of each.
"""
