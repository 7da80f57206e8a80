"""How good predictions are: tables of predictions, and the report on them."""
