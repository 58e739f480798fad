"""The paper in miniature: a protocol fixed beforehand, one JSON a finished run, and the page made of them.

    protocol → jobs (material → training → scores) → results → statistics → page

`run.py` does what is missing. Nothing here is needed to segment or to train.
"""
