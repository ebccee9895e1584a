"""the whole ledger.

Revision 0001, after .
"""

import sqlalchemy as sa
from alembic import op

from gurney.ledger.schema import new_generation

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "attempt",
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("fence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("lease_id", sa.BigInteger(), nullable=False),
        sa.Column("endpoint", sa.String(length=128), nullable=False),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("words", sa.String(length=400), nullable=False),
        sa.Column("comment", sa.String(length=64), nullable=False),
        sa.Column("bytes_sent", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(precision=53), nullable=False),
        sa.Column("settled_at", sa.Float(precision=53), nullable=False),
        sa.CheckConstraint("outcome BETWEEN 0 AND 6", name=op.f("ck_attempt_outcome")),
        sa.PrimaryKeyConstraint("item_id", "fence", name=op.f("pk_attempt")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("destination_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_study_instance_uid"), "audit", ["study_instance_uid"], unique=False)
    op.create_table(
        "clock",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("boot_id", sa.String(length=36), nullable=False),
        sa.Column("offset_seconds", sa.Float(precision=53), nullable=False),
        sa.Column("last_seen", sa.Float(precision=53), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_clock_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clock")),
    )
    op.create_table(
        "count",
        sa.Column(
            "destination_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column(
            "transfer_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("state", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("destination_id", "transfer_id", "state", name=op.f("pk_count")),
    )
    op.create_table(
        "count_delta",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("destination_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("transfer_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_count_delta")),
    )
    op.create_index(op.f("ix_count_delta_transfer_id"), "count_delta", ["transfer_id"], unique=False)
    op.create_table(
        "destination",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("ae_title", sa.String(length=16), nullable=False),
        sa.Column("calling_ae_title", sa.String(length=16), nullable=False),
        sa.Column("association", sa.String(length=8), nullable=False),
        sa.Column("duplicate_ok", sa.Boolean(), nullable=False),
        sa.Column("max_associations", sa.Integer(), nullable=False),
        sa.Column("effective_concurrency", sa.Integer(), nullable=False),
        sa.Column("retired", sa.Boolean(), nullable=False),
        sa.Column("breaker", sa.String(length=9), nullable=False),
        sa.Column("faults", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.Float(precision=53), nullable=True),
        sa.Column("probe_at", sa.Float(precision=53), nullable=True),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.Column("hold_reason", sa.String(length=400), nullable=False),
        sa.Column("hold_since", sa.Float(precision=53), nullable=True),
        sa.Column("paused_by", sa.String(length=64), nullable=False),
        sa.Column("paused_at", sa.Float(precision=53), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("claims", sa.BigInteger(), nullable=False),
        sa.Column("streak", sa.Text(), nullable=False),
        sa.Column("permanent_rejects", sa.Integer(), nullable=False),
        sa.Column("last_failed_item_id", sa.BigInteger(), nullable=True),
        sa.Column("last_success_at", sa.Float(precision=53), nullable=True),
        sa.Column("last_error", sa.String(length=400), nullable=False),
        sa.Column("last_error_at", sa.Float(precision=53), nullable=True),
        sa.Column("stat_waiting_at", sa.Float(precision=53), nullable=True),
        sa.CheckConstraint("association IN ('study', 'series', 'batch')", name=op.f("ck_destination_association")),
        sa.CheckConstraint("breaker IN ('closed', 'open', 'half_open')", name=op.f("ck_destination_breaker")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_destination")),
        sa.UniqueConstraint("name", name=op.f("uq_destination_name")),
    )
    op.create_table(
        "ledger_meta",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("schema_version", sa.Integer(), nullable=False),
        sa.Column("min_code", sa.Integer(), nullable=False),
        sa.Column("generation", sa.String(length=36), nullable=False),
        sa.Column("draining", sa.Boolean(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_ledger_meta_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_meta")),
    )
    op.create_table(
        "role",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("holder", sa.String(length=128), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_role")),
    )
    op.create_table(
        "seal",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("first", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("last", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("prev", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_seal")),
    )
    op.create_table(
        "source_count",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", "what", name=op.f("pk_source_count")),
    )
    op.create_table(
        "spool",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("path", sa.String(length=1024), nullable=False),
        sa.Column("marker", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spool")),
        sa.UniqueConstraint("name", name=op.f("uq_spool_name")),
    )
    op.create_table(
        "study",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("patient_id", sa.String(length=256), nullable=False),
        sa.Column("issuer_of_patient_id", sa.String(length=256), nullable=False),
        sa.Column("patient_name", sa.String(length=400), nullable=False),
        sa.Column("patient_birth_date", sa.String(length=32), nullable=False),
        sa.Column("patient_sex", sa.String(length=32), nullable=False),
        sa.Column("accession_number", sa.String(length=64), nullable=False),
        sa.Column("study_date", sa.String(length=32), nullable=False),
        sa.Column("study_time", sa.String(length=32), nullable=False),
        sa.Column("study_description", sa.String(length=256), nullable=False),
        sa.Column("first_seen_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study")),
        sa.UniqueConstraint("study_instance_uid", name=op.f("uq_study_study_instance_uid")),
    )
    op.create_index(op.f("ix_study_accession_number"), "study", ["accession_number"], unique=False)
    op.create_index(op.f("ix_study_patient_id"), "study", ["patient_id"], unique=False)
    op.create_index(op.f("ix_study_study_date"), "study", ["study_date"], unique=False)
    op.create_table(
        "tombstone",
        sa.Column(
            "instance_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column(
            "destination_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("stored_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("instance_id", "destination_id", name=op.f("pk_tombstone")),
    )
    op.create_table(
        "worker",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("host", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("spools", sa.String(length=400), nullable=False),
        sa.Column("folders", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Float(precision=53), nullable=False),
        sa.Column("seen_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_worker")),
    )
    op.create_table(
        "bell",
        sa.Column("destination_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("spool_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("lane", sa.String(length=8), nullable=False),
        sa.Column("rung_at", sa.Float(precision=53), nullable=True),
        sa.ForeignKeyConstraint(["destination_id"], ["destination.id"], name=op.f("fk_bell_destination_id")),
        sa.ForeignKeyConstraint(["spool_id"], ["spool.id"], name=op.f("fk_bell_spool_id")),
        sa.PrimaryKeyConstraint("destination_id", "spool_id", "lane", name=op.f("pk_bell")),
    )
    op.create_table(
        "commitment",
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("destination_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("requested_at", sa.Float(precision=53), nullable=False),
        sa.Column("answered_at", sa.Float(precision=53), nullable=True),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.CheckConstraint(
            "state IN ('requested', 'committed', 'partial', 'refused', 'overdue')", name=op.f("ck_commitment_state")
        ),
        sa.ForeignKeyConstraint(["destination_id"], ["destination.id"], name=op.f("fk_commitment_destination_id")),
        sa.PrimaryKeyConstraint("transaction_uid", name=op.f("pk_commitment")),
    )
    op.create_index(op.f("ix_commitment_destination_id"), "commitment", ["destination_id"], unique=False)
    op.create_table(
        "lease",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("destination_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("transfer_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("endpoint", sa.String(length=128), nullable=False),
        sa.Column("worker", sa.String(length=128), nullable=False),
        sa.Column("host", sa.String(length=64), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("probe", sa.Boolean(), nullable=False),
        sa.Column("recalled", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("acquired_at", sa.Float(precision=53), nullable=False),
        sa.Column("until", sa.Float(precision=53), nullable=False),
        sa.Column("ended_at", sa.Float(precision=53), nullable=True),
        sa.CheckConstraint("state IN ('live', 'released', 'lost')", name=op.f("ck_lease_state")),
        sa.ForeignKeyConstraint(["destination_id"], ["destination.id"], name=op.f("fk_lease_destination_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lease")),
    )
    op.create_index(
        "ix_lease_live",
        "lease",
        ["destination_id", "until"],
        unique=False,
        sqlite_where=sa.text("state = 'live'"),
        postgresql_where=sa.text("state = 'live'"),
    )
    op.create_table(
        "refusal",
        sa.Column("destination_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(length=64), nullable=False),
        sa.Column("words", sa.String(length=400), nullable=False),
        sa.Column("until", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(["destination_id"], ["destination.id"], name=op.f("fk_refusal_destination_id")),
        sa.PrimaryKeyConstraint("destination_id", "sop_class_uid", "transfer_syntax_uid", name=op.f("pk_refusal")),
    )
    op.create_table(
        "series",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("study_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("modality", sa.String(length=64), nullable=False),
        sa.Column("body_part_examined", sa.String(length=64), nullable=False),
        sa.Column("series_description", sa.String(length=256), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_series_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sa.UniqueConstraint("study_id", "series_instance_uid", name=op.f("uq_series_study_id_series_instance_uid")),
    )
    op.create_table(
        "study_route",
        sa.Column("study_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("route", sa.String(length=128), nullable=False),
        sa.Column("matched_at", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_study_route_study_id")),
        sa.PrimaryKeyConstraint("study_id", "route", name=op.f("pk_study_route")),
    )
    op.create_table(
        "transfer",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("study_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("destination_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("origin", sa.String(length=128), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("requested_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("last_arrival_at", sa.Float(precision=53), nullable=False),
        sa.Column("first_stored_at", sa.Float(precision=53), nullable=True),
        sa.Column("quiet_since", sa.Float(precision=53), nullable=True),
        sa.CheckConstraint("kind IN ('store', 'retrieve')", name=op.f("ck_transfer_kind")),
        sa.ForeignKeyConstraint(["destination_id"], ["destination.id"], name=op.f("fk_transfer_destination_id")),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_transfer_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfer")),
        sa.UniqueConstraint(
            "study_instance_uid",
            "destination_id",
            "origin",
            "generation",
            name=op.f("uq_transfer_study_instance_uid_destination_id_origin_generation"),
        ),
    )
    op.create_index("ix_transfer_destination", "transfer", ["destination_id", "id"], unique=False)
    op.create_index(
        "ix_transfer_restless",
        "transfer",
        ["last_arrival_at"],
        unique=False,
        sqlite_where=sa.text("quiet_since IS NULL"),
        postgresql_where=sa.text("quiet_since IS NULL"),
    )
    op.create_index("ix_transfer_study", "transfer", ["study_id"], unique=False)
    op.create_table(
        "completion",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("transfer_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.Column("reason", sa.String(length=8), nullable=False),
        sa.Column("last_item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "reason IN ('quiet', 'marker', 'count', 'mpps', 'hl7', 'operator')", name=op.f("ck_completion_reason")
        ),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfer.id"], name=op.f("fk_completion_transfer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_completion")),
    )
    op.create_index(op.f("ix_completion_transfer_id"), "completion", ["transfer_id"], unique=False)
    op.create_table(
        "instance",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(length=64), nullable=False),
        sa.Column("study_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("series_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("routing", sa.SmallInteger(), nullable=False),
        sa.Column("routing_detail", sa.String(length=400), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.CheckConstraint("routing BETWEEN 0 AND 5", name=op.f("ck_instance_routing")),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_instance_series_id")),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_instance_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance")),
        sa.UniqueConstraint("sop_instance_uid", "version", name=op.f("uq_instance_sop_instance_uid_version")),
    )
    op.create_index("ix_instance_study", "instance", ["study_id"], unique=False)
    op.create_index(
        "ix_instance_unrouted",
        "instance",
        ["routing", "id"],
        unique=False,
        sqlite_where=sa.text("routing <> 1"),
        postgresql_where=sa.text("routing <> 1"),
    )
    op.create_table(
        "file",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("door", sa.String(length=16), nullable=False),
        sa.Column("path", sa.LargeBinary(length=4096), nullable=False),
        sa.Column("dev", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("detail", sa.String(length=400), nullable=False),
        sa.Column("instance_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("dataset_offset", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=True),
        sa.Column("spool_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("spool_path", sa.String(length=255), nullable=False),
        sa.Column("spool_mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("calling_ae_title", sa.String(length=16), nullable=False),
        sa.Column("called_ae_title", sa.String(length=16), nullable=False),
        sa.Column("peer_address", sa.String(length=64), nullable=False),
        sa.Column("after", sa.String(length=8), nullable=False),
        sa.Column("missed_scans", sa.SmallInteger(), nullable=False),
        sa.Column("seen_at", sa.Float(precision=53), nullable=False),
        sa.Column("changed_at", sa.Float(precision=53), nullable=False),
        sa.CheckConstraint("after IN ('keep', 'move', 'delete')", name=op.f("ck_file_after")),
        sa.CheckConstraint("door IN ('watch', 'receive', 'retrieve', 'import', 'api')", name=op.f("ck_file_door")),
        sa.CheckConstraint("state BETWEEN 0 AND 5", name=op.f("ck_file_state")),
        sa.ForeignKeyConstraint(["instance_id"], ["instance.id"], name=op.f("fk_file_instance_id")),
        sa.ForeignKeyConstraint(["spool_id"], ["spool.id"], name=op.f("fk_file_spool_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file")),
    )
    op.create_index(
        "ix_file_attention",
        "file",
        ["state", "id"],
        unique=False,
        sqlite_where=sa.text("state IN (2, 4)"),
        postgresql_where=sa.text("state IN (2, 4)"),
    )
    op.create_index(
        "ix_file_disposable",
        "file",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state = 1 AND after <> 'keep'"),
        postgresql_where=sa.text("state = 1 AND after <> 'keep'"),
    )
    op.create_index(
        "ix_file_held",
        "file",
        ["spool_id", "id"],
        unique=False,
        sqlite_where=sa.text("spool_path <> ''"),
        postgresql_where=sa.text("spool_path <> ''"),
    )
    op.create_index("ix_file_instance", "file", ["instance_id"], unique=False)
    op.create_index(
        "uq_file_source_path",
        "file",
        ["source", "path"],
        unique=True,
        sqlite_where=sa.text("state <> 5"),
        postgresql_where=sa.text("state <> 5"),
    )
    op.create_table(
        "conflict",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("instance_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("file_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("opened_at", sa.Float(precision=53), nullable=False),
        sa.Column("decided_at", sa.Float(precision=53), nullable=True),
        sa.Column("decided_by", sa.String(length=64), nullable=False),
        sa.CheckConstraint("state IN ('open', 'replaced', 'kept', 'rejected')", name=op.f("ck_conflict_state")),
        sa.ForeignKeyConstraint(["file_id"], ["file.id"], name=op.f("fk_conflict_file_id")),
        sa.ForeignKeyConstraint(["instance_id"], ["instance.id"], name=op.f("fk_conflict_instance_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conflict")),
        sa.UniqueConstraint("file_id", name=op.f("uq_conflict_file_id")),
    )
    op.create_index(
        "ix_conflict_open",
        "conflict",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(op.f("ix_conflict_sop_instance_uid"), "conflict", ["sop_instance_uid"], unique=False)
    op.create_table(
        "item",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("transfer_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("instance_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("file_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("series_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("destination_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("spool_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("held_for", sa.String(length=16), nullable=False),
        sa.Column("due_at", sa.Float(precision=53), nullable=True),
        sa.Column("lease_id", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("context_retries", sa.SmallInteger(), nullable=False),
        sa.Column("suspect", sa.SmallInteger(), nullable=False),
        sa.Column("crash_suspect", sa.SmallInteger(), nullable=False),
        sa.Column("refused", sa.Boolean(), nullable=False),
        sa.Column("first_failed_at", sa.Float(precision=53), nullable=True),
        sa.Column("last_failed_at", sa.Float(precision=53), nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_words", sa.String(length=400), nullable=False),
        sa.Column("proof", sa.SmallInteger(), nullable=False),
        sa.Column("sent_sop_instance_uid", sa.String(length=64), nullable=True),
        sa.Column("sent_study_instance_uid", sa.String(length=64), nullable=True),
        sa.Column("transform_revision", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("settled_at", sa.Float(precision=53), nullable=True),
        sa.CheckConstraint("(state = 7) = (held_for <> '')", name=op.f("ck_item_held")),
        sa.CheckConstraint("(state = 1) = (lease_id IS NOT NULL)", name=op.f("ck_item_lease")),
        sa.CheckConstraint("(state = 2) = (due_at IS NOT NULL)", name=op.f("ck_item_due")),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_item_attempts")),
        sa.CheckConstraint("priority BETWEEN 0 AND 3", name=op.f("ck_item_priority")),
        sa.CheckConstraint("proof BETWEEN 0 AND 5", name=op.f("ck_item_proof")),
        sa.CheckConstraint("state BETWEEN 0 AND 8", name=op.f("ck_item_state")),
        sa.ForeignKeyConstraint(["destination_id"], ["destination.id"], name=op.f("fk_item_destination_id")),
        sa.ForeignKeyConstraint(["file_id"], ["file.id"], name=op.f("fk_item_file_id")),
        sa.ForeignKeyConstraint(["instance_id"], ["instance.id"], name=op.f("fk_item_instance_id")),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_item_series_id")),
        sa.ForeignKeyConstraint(["spool_id"], ["spool.id"], name=op.f("fk_item_spool_id")),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfer.id"], name=op.f("fk_item_transfer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_item")),
        sa.UniqueConstraint("transfer_id", "instance_id", name=op.f("uq_item_transfer_id_instance_id")),
    )
    op.create_index(
        "ix_item_held",
        "item",
        ["transfer_id"],
        unique=False,
        sqlite_where=sa.text("state = 7"),
        postgresql_where=sa.text("state = 7"),
    )
    op.create_index("ix_item_instance", "item", ["instance_id"], unique=False)
    op.create_index(
        "ix_item_ready",
        "item",
        ["destination_id", "spool_id", "priority", "transfer_id", "id"],
        unique=False,
        sqlite_where=sa.text("state = 0"),
        postgresql_where=sa.text("state = 0"),
    )
    op.create_index(
        "ix_item_refused",
        "item",
        ["destination_id"],
        unique=False,
        sqlite_where=sa.text("state = 5 AND refused"),
        postgresql_where=sa.text("state = 5 AND refused"),
    )
    op.create_index(
        "ix_item_retry",
        "item",
        ["destination_id", "due_at"],
        unique=False,
        sqlite_where=sa.text("state = 2"),
        postgresql_where=sa.text("state = 2"),
    )
    op.create_index(
        "ix_item_running",
        "item",
        ["lease_id"],
        unique=False,
        sqlite_where=sa.text("state = 1"),
        postgresql_where=sa.text("state = 1"),
    )
    op.bulk_insert(
        sa.table(
            "ledger_meta",
            sa.column("id"),
            sa.column("schema_version"),
            sa.column("min_code"),
            sa.column("generation"),
            sa.column("draining", sa.Boolean()),
        ),
        [{"id": 1, "schema_version": 1, "min_code": 1, "generation": new_generation(), "draining": False}],
    )


def downgrade() -> None:
    """Undo."""
    op.drop_index(
        "ix_item_running", table_name="item", sqlite_where=sa.text("state = 1"), postgresql_where=sa.text("state = 1")
    )
    op.drop_index(
        "ix_item_retry", table_name="item", sqlite_where=sa.text("state = 2"), postgresql_where=sa.text("state = 2")
    )
    op.drop_index(
        "ix_item_refused",
        table_name="item",
        sqlite_where=sa.text("state = 5 AND refused"),
        postgresql_where=sa.text("state = 5 AND refused"),
    )
    op.drop_index(
        "ix_item_ready", table_name="item", sqlite_where=sa.text("state = 0"), postgresql_where=sa.text("state = 0")
    )
    op.drop_index("ix_item_instance", table_name="item")
    op.drop_index(
        "ix_item_held", table_name="item", sqlite_where=sa.text("state = 7"), postgresql_where=sa.text("state = 7")
    )
    op.drop_table("item")
    op.drop_index(op.f("ix_conflict_sop_instance_uid"), table_name="conflict")
    op.drop_index(
        "ix_conflict_open",
        table_name="conflict",
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.drop_table("conflict")
    op.drop_index(
        "uq_file_source_path",
        table_name="file",
        sqlite_where=sa.text("state <> 5"),
        postgresql_where=sa.text("state <> 5"),
    )
    op.drop_index("ix_file_instance", table_name="file")
    op.drop_index(
        "ix_file_held",
        table_name="file",
        sqlite_where=sa.text("spool_path <> ''"),
        postgresql_where=sa.text("spool_path <> ''"),
    )
    op.drop_index(
        "ix_file_disposable",
        table_name="file",
        sqlite_where=sa.text("state = 1 AND after <> 'keep'"),
        postgresql_where=sa.text("state = 1 AND after <> 'keep'"),
    )
    op.drop_index(
        "ix_file_attention",
        table_name="file",
        sqlite_where=sa.text("state IN (2, 4)"),
        postgresql_where=sa.text("state IN (2, 4)"),
    )
    op.drop_table("file")
    op.drop_index(
        "ix_instance_unrouted",
        table_name="instance",
        sqlite_where=sa.text("routing <> 1"),
        postgresql_where=sa.text("routing <> 1"),
    )
    op.drop_index("ix_instance_study", table_name="instance")
    op.drop_table("instance")
    op.drop_index(op.f("ix_completion_transfer_id"), table_name="completion")
    op.drop_table("completion")
    op.drop_index("ix_transfer_study", table_name="transfer")
    op.drop_index(
        "ix_transfer_restless",
        table_name="transfer",
        sqlite_where=sa.text("quiet_since IS NULL"),
        postgresql_where=sa.text("quiet_since IS NULL"),
    )
    op.drop_index("ix_transfer_destination", table_name="transfer")
    op.drop_table("transfer")
    op.drop_table("study_route")
    op.drop_table("series")
    op.drop_table("refusal")
    op.drop_index(
        "ix_lease_live",
        table_name="lease",
        sqlite_where=sa.text("state = 'live'"),
        postgresql_where=sa.text("state = 'live'"),
    )
    op.drop_table("lease")
    op.drop_index(op.f("ix_commitment_destination_id"), table_name="commitment")
    op.drop_table("commitment")
    op.drop_table("bell")
    op.drop_table("worker")
    op.drop_table("tombstone")
    op.drop_index(op.f("ix_study_study_date"), table_name="study")
    op.drop_index(op.f("ix_study_patient_id"), table_name="study")
    op.drop_index(op.f("ix_study_accession_number"), table_name="study")
    op.drop_table("study")
    op.drop_table("spool")
    op.drop_table("source_count")
    op.drop_table("seal")
    op.drop_table("role")
    op.drop_table("ledger_meta")
    op.drop_table("destination")
    op.drop_index(op.f("ix_count_delta_transfer_id"), table_name="count_delta")
    op.drop_table("count_delta")
    op.drop_table("count")
    op.drop_table("clock")
    op.drop_index(op.f("ix_audit_study_instance_uid"), table_name="audit")
    op.drop_table("audit")
    op.drop_table("attempt")
