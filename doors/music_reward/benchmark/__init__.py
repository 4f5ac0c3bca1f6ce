"""What `inference_benchmark.py` and `evaluate_results.py` open: rows asked by the engine, results written."""
