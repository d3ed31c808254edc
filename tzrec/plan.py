"""`tzrec plan`: place the tables of a model on ranks that are not here, and report what each rank needs."""

from __future__ import annotations

from collections.abc import Sequence

from tzrec import cli
from tzrec.config.check import load_checked

_MOST_RANKS = 100_000
"""A plan has a shard for each rank, so a number with some digits too many would fill the memory."""


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Print the plan; return 0 if the model fits, 1 if it does not."""
    flags = cli.parser("plan", "Plan a model for a number of ranks, without data, GPU or process group.")
    flags.config()
    flags.edits()
    ranks = cli.whole_number(1, _MOST_RANKS)
    flags.add_argument("--ranks", type=ranks, required=True, help="number of ranks: GPUs, or processes on CPU")
    flags.add_argument("--ranks_per_host", type=ranks, default=8, help="ranks on each host; default: 8")
    flags.add_argument("--device", choices=("cpu", "cuda"), default="cuda", help="device of the ranks; default: cuda")
    flags.add_argument("--hbm", type=cli.size, default="80GB", help="memory of a GPU; default: 80GB")
    flags.add_argument("--host_memory", type=cli.size, default="1TB", help="memory of a host; default: 1TB")
    args = flags.parse_args(argv)
    from tzrec.run.plan import plan
    from tzrec.tables.cluster import Cluster

    config = load_checked(args.pipeline_config, args.edit_config_json, args.device)
    per_host = min(args.ranks, args.ranks_per_host)
    host = args.host_memory // per_host
    memory = args.hbm if args.device == "cuda" else host
    cluster = Cluster(args.ranks, per_host, args.device, memory, host, config.data_config.batch_size)
    report = plan(config, cluster)
    print(report.render())
    return 1 if report.problems else 0


if __name__ == "__main__":
    cli.leave(main())
