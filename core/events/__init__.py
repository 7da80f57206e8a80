"""What events of a record mean: the cut at the prediction time, deaths, kinds, codes and what they are called."""
