"""Do worked examples help? Two runs of one model, compared pair by pair.

python examples/compare.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from steelyard import evaluate, open_task
from steelyard.report.comparison import compare_runs


def main():
    """Evaluate without and with examples, and say what the difference is worth."""
    with TemporaryDirectory() as folder:
        plain = evaluate("embedded", open_task("arithmetic"), limit=100, out=Path(folder) / "plain")
        shown = evaluate("embedded", open_task("arithmetic", shots=4), limit=100, out=Path(folder) / "shots")
        for pairing in compare_runs(plain, [shown]):
            for measured in pairing.measured:
                found = measured.comparison
                print(f"{measured.metric}: {found.verdict}, {found.before:.3f} → {found.after:.3f}")


if __name__ == "__main__":
    main()
