"""`tzrec report`: write the report of a run again, or a page that compares several runs."""

from __future__ import annotations

from collections.abc import Sequence

from tzrec import cli
from tzrec.storage.path import to_path


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return exit status 0; 2 for an invalid command line; 1 for other errors."""
    flags = cli.parser("report", "Write the report of a run from its files, or compare several runs.")
    flags.add_argument("runs", nargs="+", metavar="MODEL_DIR", help="directory of a run; several are compared")
    text = "file to write; default: report.html in the directory of the run, or compare.html here for several"
    flags.add_argument("--output_path", metavar="FILE", help=text)
    args = flags.parse_args(argv)
    from tzrec.data.atomic import write_text
    from tzrec.report.compare import compare_page
    from tzrec.report.run_files import RunFiles
    from tzrec.report.run_page import run_page

    files = [RunFiles.of_run(to_path(run)) for run in dict.fromkeys(run.rstrip("/") for run in args.runs)]
    is_single = len(files) == 1
    path = args.output_path or (str(to_path(args.runs[0]) / "report.html") if is_single else "compare.html")
    write_text(path, run_page(files[0]) if is_single else compare_page(files))
    print(path)
    return 0


if __name__ == "__main__":
    cli.leave(main())
