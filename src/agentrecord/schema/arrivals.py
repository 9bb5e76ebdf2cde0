"""The order in which facts arrived: one row for each transaction, with the ids of what it stored or changed."""

from agentrecord.schema.tables import at, column, define, project_id
from agentrecord.schema.types import Blob, Id, Whole

arrivals = define(
    "ar_arrivals",
    project_id(),
    column("place", Whole()),
    column("part", Whole()),
    column("user_uuid", Id()),
    at("at"),
    column("refs", Blob()),
    primary_key=("project_id", "place", "part"),
    clustered=True,
)
