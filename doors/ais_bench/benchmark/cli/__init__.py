"""The command `ais_bench`: names of models and data sets in, answers, scores and a table out."""
