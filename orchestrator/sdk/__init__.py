"""What plugins see: the small stable surface, with the model names they need."""

from orchestrator.errors import (
    BadSettings,
    Conflict,
    ExpressionFailed,
    JobLost,
    JobRejected,
    NotFound,
    OrchestratorError,
    RunnerUnavailable,
    StartFailed,
    TaskFailed,
    TimedOut,
)
from orchestrator.model.dispatch import ExitState
from orchestrator.model.execution import PhaseName
from orchestrator.model.flow import Input, Retry, TaskSpec, WorkerGroupRef
from orchestrator.model.job import Found, Job, JobExit, JobHandle
from orchestrator.model.log import Level
from orchestrator.model.state import State
from orchestrator.model.values import Duration, Instant, Json, Label, format_duration, labels_of, parse_duration
from orchestrator.sdk.calling import Call, Caller, CallProperties, RestartBehavior
from orchestrator.sdk.condition import Condition, ConditionContext, ExecutionFacts
from orchestrator.sdk.context import Files, Keys, Records, RunContext, RunInfo, RunLogger, Triggers
from orchestrator.sdk.gathering import Gathering, Part, TimeOfDay, TimeWindow, WindowKind
from orchestrator.sdk.lines import LineSplitter
from orchestrator.sdk.naming import job_key, job_labels, label_value
from orchestrator.sdk.plugin import PluginModel
from orchestrator.sdk.runner import JobTools, LogSink, Processes, Reaper, RunningProcess, TaskRunner
from orchestrator.sdk.spot import Spot
from orchestrator.sdk.task import AnyTask, CachedFor, Drawn, Flowable, Order, Plan, Task, Tasks, Warned
from orchestrator.sdk.template import Dynamic, Late, Template, is_template
from orchestrator.sdk.trigger import CalledTrigger, DatedTrigger, ListeningTrigger, PollingTrigger, RealtimeTrigger, Trigger
from orchestrator.sdk.values import Parsed, Text, text_map, text_of, truthy
from orchestrator.sdk.waits import Repeat, Wait
from orchestrator.sdk.workspace import Workspace

__all__ = [
    "AnyTask",
    "BadSettings",
    "CachedFor",
    "Call",
    "CallProperties",
    "CalledTrigger",
    "Caller",
    "Condition",
    "ConditionContext",
    "Conflict",
    "DatedTrigger",
    "Drawn",
    "Duration",
    "Dynamic",
    "ExecutionFacts",
    "ExitState",
    "ExpressionFailed",
    "Files",
    "Flowable",
    "Found",
    "Gathering",
    "Input",
    "Instant",
    "Job",
    "JobExit",
    "JobHandle",
    "JobLost",
    "JobRejected",
    "JobTools",
    "Json",
    "Keys",
    "Label",
    "Late",
    "Level",
    "LineSplitter",
    "ListeningTrigger",
    "LogSink",
    "NotFound",
    "OrchestratorError",
    "Order",
    "Parsed",
    "Part",
    "PhaseName",
    "Plan",
    "PluginModel",
    "PollingTrigger",
    "Processes",
    "RealtimeTrigger",
    "Reaper",
    "Records",
    "Repeat",
    "RestartBehavior",
    "Retry",
    "RunContext",
    "RunInfo",
    "RunLogger",
    "RunnerUnavailable",
    "RunningProcess",
    "Spot",
    "StartFailed",
    "State",
    "Task",
    "TaskFailed",
    "TaskRunner",
    "TaskSpec",
    "Tasks",
    "Template",
    "Text",
    "TimeOfDay",
    "TimeWindow",
    "TimedOut",
    "Trigger",
    "Triggers",
    "Wait",
    "Warned",
    "WindowKind",
    "WorkerGroupRef",
    "Workspace",
    "format_duration",
    "is_template",
    "job_key",
    "job_labels",
    "label_value",
    "labels_of",
    "parse_duration",
    "text_map",
    "text_of",
    "truthy",
]
