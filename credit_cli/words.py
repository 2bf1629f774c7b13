"""The words after `credit`, in the order in which its help names them.

The sentence of each is the first of its own help, so that it need not be imported for that.
"""

from __future__ import annotations

from credit_cli.command_tree import Panel, Word

WORDS = (
    Word(
        "demo",
        Panel.START_HERE,
        "credit_cli.demo_command:demo",
        "Go from nothing to a decided application on the local cloud.",
    ),
    Word(
        "local",
        Panel.START_HERE,
        "credit_cli.local_commands:local",
        "The local cloud of this checkout.",
    ),
    Word(
        "products",
        Panel.START_HERE,
        "credit_cli.products:products",
        "The product definitions under products/.",
    ),
    Word(
        "score",
        Panel.DECIDE,
        "credit_cli.decision_commands:score",
        "Ask for the decision on an application.",
    ),
    Word(
        "desk",
        Panel.DECIDE,
        "credit_cli.desk_command:desk",
        "Open the loan desk in a browser: score, review referrals, look at decisions and models.",
    ),
    Word(
        "referrals",
        Panel.DECIDE,
        "credit_cli.referrals:referrals",
        "List referrals that nobody has reviewed, the oldest first.",
    ),
    Word("decisions", Panel.DECIDE, "credit_cli.replay:decisions", "Recorded decisions."),
    Word(
        "token",
        Panel.DECIDE,
        "credit_cli.decision_commands:token",
        "Print a bearer token for the deployed API, and nothing else.",
    ),
    Word(
        "train",
        Panel.MODELS,
        "credit_cli.train:train",
        "Train all candidates on past applications, choose one, and judge it.",
    ),
    Word(
        "retrain",
        Panel.MODELS,
        "credit_cli.retrain:retrain",
        "Train a model on the cloud; make it champion if it passes its gates.",
    ),
    Word("models", Panel.MODELS, "credit_cli.models:models", "Registered models."),
    Word(
        "dataset",
        Panel.MODELS,
        "credit_cli.dataset:dataset",
        "Training sets of a lake in a local folder, and of what decisions were served.",
    ),
    Word(
        "sample",
        Panel.FEATURES,
        "credit_cli.sample_commands:sample",
        "Invented data to try things with.",
    ),
    Word(
        "materialize",
        Panel.FEATURES,
        "credit_cli.materialize:materialize",
        "Bring feature files of the lake into the online store.",
    ),
    Word(
        "push",
        Panel.FEATURES,
        "credit_cli.push:push",
        "Send rows of features to the event bus, for what can't wait for a file.",
    ),
    Word("skew", Panel.FEATURES, "credit_cli.skew:skew", "Served features against the lake."),
    Word(
        "status",
        Panel.WATCH,
        "credit_cli.status:status",
        "Say in ten lines whether a deployment is well: what answers, rings, ages, runs and waits.",
    ),
    Word(
        "alarms",
        Panel.WATCH,
        "credit_cli.alarms:alarms",
        "Alarms: what rings, why, and whether it reaches on-call.",
    ),
    Word(
        "logs",
        Panel.WATCH,
        "credit_cli.logs:logs",
        "Show lines of the logs, the newest last, or what a question finds in them.",
    ),
    Word("runs", Panel.WATCH, "credit_cli.runs:runs", "Runs of the workflows."),
    Word("queues", Panel.WATCH, "credit_cli.queues:queues", "Queues and what waits in them."),
    Word(
        "monitor",
        Panel.WATCH,
        "credit_cli.monitor:monitor",
        "Look at a day's decisions: outcomes, reasons, drift, latency; fails beyond limits.",
    ),
    Word(
        "prometheus",
        Panel.WATCH,
        "credit_cli.prometheus_command:prometheus",
        "Metrics for those who watch with Prometheus and Grafana.",
    ),
    Word("archive", Panel.KEEP_AND_ERASE, "credit_cli.archive:archive", "The archive of receipts."),
    Word(
        "erase",
        Panel.KEEP_AND_ERASE,
        "credit_cli.erase:erase",
        "Erase an applicant: features at once and for good; receipts when the law lets them go.",
    ),
    Word(
        "capacity",
        Panel.CLOUD,
        "credit_cli.capacity:capacity",
        "Say what to set for an expected load, and what it costs; nothing is asked or changed.",
    ),
    Word(
        "load",
        Panel.CLOUD,
        "credit_cli.load_command:load",
        "Send varied applications to the deployed API and say how it coped.",
    ),
    Word(
        "api",
        Panel.CLOUD,
        "credit_cli.openapi:openapi",
        "The API's OpenAPI document, and the calls that are its examples.",
    ),
)
