"""The records of pipelines, their versions, their executions and the steps of those."""

from local_sagemaker.storage.records import Record, Store, now

PIPELINE, VERSION = "pipeline", "pipeline-version"
EXECUTION, STEP = "pipeline-execution", "pipeline-execution-step"
STATUS = "PipelineExecutionStatus"
ENDED = ("Succeeded", "Failed", "Stopped")
_INTERRUPTED = "InternalServerError: the local service ended while the pipeline ran."


def steps_of(store: Store, execution: str) -> list[Record]:
    """Return the records of an execution's steps, in the order of their start."""
    records = [record for record in store.all(STEP) if record["Execution"] == execution]
    return sorted(records, key=lambda record: record["Number"])


def interrupt(store: Store, execution: str, reason: str) -> None:
    """Record that an execution and its running steps failed, because the service ends."""
    with store.together():
        for record in steps_of(store, execution):
            if record["StepStatus"] not in ENDED:
                changes = {"StepStatus": "Failed", "FailureReason": reason, "EndTime": now()}
                store.update(STEP, record["Key"], **changes)
        store.update(EXECUTION, execution, **{STATUS: "Failed", "FailureReason": reason})


def restore(store: Store) -> list[str]:
    """Mark the executions that were running as failed, after a restart of the service.

    Returns: messages for the user, a line each.
    """
    notes = []
    for record in store.all(EXECUTION):
        if record[STATUS] not in ENDED:
            interrupt(store, record["Execution"], _INTERRUPTED)
            arn = record["PipelineExecutionArn"]
            notes.append(f"{arn} was running and is marked failed; it can be retried")
    return notes
