"""The page's interactive figures: the same questions and colours as `report/figures`, as plotly's plain data."""
