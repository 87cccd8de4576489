"""The evaluation of the paper (section 4): known objects, systems, scores and the report of them."""
