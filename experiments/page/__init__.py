"""A page in the browser that colors and segments images: `python experiments/demo.py`."""
