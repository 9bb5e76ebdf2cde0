"""Hosts, models and prices: the same for every project, unless a price names one."""

from sqlalchemy import ForeignKeyConstraint

from agentrecord.schema.tables import at, column, define, index, optional, row_id, serial, unique
from agentrecord.schema.types import Id, Whole, Words

hosts = define(
    "ar_hosts",
    row_id(),
    serial(),
    column("name", Words()),
    optional("base_url"),
    at("created_at"),
    unique("name"),
    primary_key=("id",),
)

models = define(
    "ar_models",
    row_id(),
    serial(),
    column("name", Words()),
    column("host_uuid", Id()),
    at("created_at"),
    unique("host_uuid", "name"),
    ForeignKeyConstraint(["host_uuid"], ["ar_hosts.id"]),
    primary_key=("id",),
)

# The two rates stand beside the JSON that holds them all, because views may not call JSON functions everywhere.
prices = define(
    "ar_prices",
    row_id(),
    optional("price_project_id", Id()),
    column("model", Words()),
    optional("host"),
    column("rates", Words()),
    column("tiers", Words()),
    optional("input_rate", Whole()),
    optional("output_rate", Whole()),
    at("effective_from", null=True),
    column("source", Words()),
    at("created_at"),
    at("retired_at", null=True),
    primary_key=("id",),
)
index("ix_ar_prices_model", prices.c.model)
