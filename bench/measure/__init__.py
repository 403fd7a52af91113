"""How figures are taken: timing, intervals, ceilings, graphs, traffic; and what they are taken of."""
