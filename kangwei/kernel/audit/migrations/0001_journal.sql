-- The journal (审计日志): entries, the chain over them, anchors of the chain.
-- Entries and links are partitioned by month so that an old, sealed month can be put away whole.

CREATE TABLE audit_entry (
    id             bigint GENERATED ALWAYS AS IDENTITY,
    -- When we wrote it, by the server's wall clock: never taken from the application.
    recorded_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    occurred_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind           text NOT NULL CHECK (kind IN ('act', 'change', 'digest')),
    act            text NOT NULL DEFAULT '',
    act_id         uuid,
    -- A snapshot of the person, no foreign key: the line stays true when the account changes.
    account_id     bigint,
    account_label  text NOT NULL DEFAULT '',
    roles          text NOT NULL DEFAULT '',
    channel        text NOT NULL DEFAULT '',
    address        text NOT NULL DEFAULT '',
    session        text NOT NULL DEFAULT '',
    agent          text NOT NULL DEFAULT '',
    trace_id       text NOT NULL DEFAULT '',
    object_type    text NOT NULL DEFAULT '',
    object_id      text NOT NULL DEFAULT '',
    object_label   text NOT NULL DEFAULT '',
    operation      text NOT NULL DEFAULT '' CHECK (operation IN ('', 'I', 'U', 'D', 'T')),
    before         jsonb,
    after          jsonb,
    detail         jsonb,
    reason         text NOT NULL DEFAULT '',
    result         text NOT NULL DEFAULT 'done' CHECK (result IN ('done', 'refused')),
    db_user        text NOT NULL DEFAULT session_user,
    application    text NOT NULL DEFAULT current_setting('application_name'),
    tx             bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    PRIMARY KEY (id, recorded_at),
    CONSTRAINT audit_entry_kinds CHECK (
        CASE kind
            WHEN 'act' THEN act <> '' AND act_id IS NOT NULL AND operation = ''
            WHEN 'change' THEN act = '' AND act_id IS NOT NULL AND operation <> ''
            ELSE act <> '' AND operation = ''
        END
    )
) PARTITION BY RANGE (recorded_at);

CREATE INDEX audit_entry_tx ON audit_entry (tx);
CREATE INDEX audit_entry_act_id ON audit_entry (act_id);
CREATE INDEX audit_entry_object ON audit_entry (object_type, object_id, id);
CREATE INDEX audit_entry_recorded ON audit_entry USING brin (recorded_at);
CREATE INDEX audit_entry_account ON audit_entry (account_id, id) WHERE kind = 'act';
CREATE INDEX audit_entry_act ON audit_entry (act, id) WHERE kind <> 'change';
CREATE INDEX audit_entry_words ON audit_entry USING gin (
    (account_label || ' ' || object_label || ' ' || reason) gin_trgm_ops
) WHERE kind = 'act';

CREATE TABLE audit_link (
    seq                bigint NOT NULL CHECK (seq > 0),
    chained_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    entry_id           bigint NOT NULL,
    entry_recorded_at  timestamptz NOT NULL,
    prev_hash          text NOT NULL CHECK (length(prev_hash) = 64),
    hash               text NOT NULL CHECK (length(hash) = 64),
    algorithm          text NOT NULL DEFAULT 'SM3',
    PRIMARY KEY (seq, chained_at)
) PARTITION BY RANGE (chained_at);

CREATE INDEX audit_link_entry ON audit_link (entry_id);

-- Which journal this is. A copy restored elsewhere keeps its name; a new database gets a new one.
CREATE TABLE audit_book (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    opened_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    only_one    boolean NOT NULL DEFAULT true UNIQUE CHECK (only_one)
);
INSERT INTO audit_book DEFAULT VALUES;

CREATE TABLE audit_anchor (
    number      bigint PRIMARY KEY CHECK (number > 0),
    kind        text NOT NULL CHECK (kind IN ('time', 'stop', 'seal')),
    anchored_at timestamptz NOT NULL,
    seq         bigint NOT NULL CHECK (seq >= 0),
    hash        text NOT NULL CHECK (length(hash) = 64),
    -- The line exactly as signed and as written to the file outside the database.
    line        text NOT NULL,
    digest      text NOT NULL CHECK (length(digest) = 64),
    algorithm   text NOT NULL,
    kid         text NOT NULL,
    signature   text NOT NULL
);

-- A month that was sealed by a final anchor; `purged_at` once its rows were put away.
CREATE TABLE audit_seal (
    month       date PRIMARY KEY CHECK (extract(day FROM month) = 1),
    anchor      bigint NOT NULL REFERENCES audit_anchor (number),
    first_seq   bigint NOT NULL,
    last_seq    bigint NOT NULL,
    entries     bigint NOT NULL,
    sealed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    purged_at   timestamptz
);

-- Append-only, for everybody ---------------------------------------------------------------

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '审计日志只能追加：% 上的 % 被拒绝。', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit_entry
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit_link
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit_anchor
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit_book
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_append_only BEFORE DELETE ON audit_seal
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_seal_once BEFORE UPDATE ON audit_seal
    FOR EACH ROW WHEN (
        (NEW.month, NEW.anchor, NEW.first_seq, NEW.last_seq, NEW.entries, NEW.sealed_at)
            IS DISTINCT FROM
        (OLD.month, OLD.anchor, OLD.first_seq, OLD.last_seq, OLD.entries, OLD.sealed_at)
        OR OLD.purged_at IS NOT NULL
    ) EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_entry EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_link EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_anchor EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_book EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_seal EXECUTE FUNCTION audit_refuse();

-- Months ahead -----------------------------------------------------------------------------

-- Rows that find no month land in the default partition, so that nothing is ever lost. When
-- their month is made later they are carried over; the chain is over content, not over place.
CREATE FUNCTION audit_ensure_month(parent text, month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    part   text := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
    spare  text := parent || '_default';
    clock  text := CASE parent WHEN 'audit_entry' THEN 'recorded_at' ELSE 'chained_at' END;
    upto   date := month + interval '1 month';
BEGIN
    IF parent NOT IN ('audit_entry', 'audit_link') OR extract(day FROM month) <> 1 THEN
        RAISE EXCEPTION 'audit_ensure_month: no such table or not the first of a month';
    END IF;
    IF to_regclass('public.' || part) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- A month already put away is not opened again.
    IF EXISTS (SELECT 1 FROM audit_seal s WHERE s.month = audit_ensure_month.month) THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE %I IN SHARE ROW EXCLUSIVE MODE', parent);
    IF to_regclass('public.' || part) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part, parent);
    IF to_regclass('public.' || spare) IS NOT NULL THEN
        EXECUTE format('ALTER TABLE %I DISABLE TRIGGER audit_append_only', spare);
        EXECUTE format(
            'WITH moved AS (DELETE FROM %I WHERE %I >= %L AND %I < %L RETURNING *)'
            ' INSERT INTO %I SELECT * FROM moved', spare, clock, month, clock, upto, part);
        EXECUTE format('ALTER TABLE %I ENABLE TRIGGER audit_append_only', spare);
    END IF;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   parent, part, month, upto);
    EXECUTE format('CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON %I'
                   ' EXECUTE FUNCTION audit_refuse()', part);
    RETURN true;
END $$;

CREATE FUNCTION audit_ensure_partitions(ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    made integer := 0;
    step integer;
    parent text;
BEGIN
    FOR step IN 0 .. least(ahead, 36) LOOP
        FOREACH parent IN ARRAY ARRAY['audit_entry', 'audit_link'] LOOP
            IF audit_ensure_month(parent,
                    (date_trunc('month', now()) + step * interval '1 month')::date) THEN
                made := made + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;

CREATE TABLE audit_entry_default PARTITION OF audit_entry DEFAULT;
CREATE TABLE audit_link_default PARTITION OF audit_link DEFAULT;
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_entry_default EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_link_default EXECUTE FUNCTION audit_refuse();
SELECT audit_ensure_partitions(3);

-- Acts and changes -------------------------------------------------------------------------

-- The id of the act under way in this transaction; made when first asked for. `record` closes
-- it, so that the next act of the same transaction (one line of a bulk import) gets its own.
CREATE FUNCTION audit_current_act() RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    act text := nullif(current_setting('kw.act', true), '');
BEGIN
    IF act IS NULL THEN
        act := set_config('kw.act', gen_random_uuid()::text, true);
    END IF;
    RETURN act::uuid;
END $$;

-- Hidden columns show that they hold or changed a value, never which: erasing a person's data
-- from the business table leaves nothing behind here, and the chain whole.
CREATE FUNCTION audit_hide(item jsonb, hidden text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN item ?| hidden THEN item || (
        SELECT coalesce(jsonb_object_agg(name, '***'::text), '{}'::jsonb)
        FROM unnest(hidden) AS name
        WHERE item -> name <> 'null'::jsonb
    ) ELSE item END
$$;

-- One function for every journalled table. Arguments: object type, column of the key, hidden
-- columns. Statement triggers with transition tables see COPY, bulk updates and hand-written SQL
-- alike, at a quarter less than row triggers cost.
CREATE FUNCTION audit_note_changes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
-- OLD and NEW are variables of every trigger; below they are columns.
#variable_conflict use_column
DECLARE
    -- `(SELECT audit_current_act())` below runs once, and only when there is a row to note.
    -- OFFSET 0 keeps the planner from writing each row's to_jsonb out once per use: five times
    -- faster updates.
    kind_of  text := TG_ARGV[0];
    key      text := TG_ARGV[1];
    hidden   text[] := TG_ARGV[2]::text[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO audit_entry (kind, act_id, object_type, object_id, operation, after)
        SELECT 'change', (SELECT audit_current_act()), kind_of, item ->> key, 'I',
               audit_hide(item, hidden)
        FROM (SELECT to_jsonb(n) AS item FROM new_rows n OFFSET 0) AS news;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO audit_entry (kind, act_id, object_type, object_id, operation, before)
        SELECT 'change', (SELECT audit_current_act()), kind_of, item ->> key, 'D',
               audit_hide(item, hidden)
        FROM (SELECT to_jsonb(o) AS item FROM old_rows o OFFSET 0) AS olds;
    ELSE
        -- A changed key shows as one row gone and one come, hence the full join.
        INSERT INTO audit_entry
            (kind, act_id, object_type, object_id, operation, before, after)
        SELECT 'change', (SELECT audit_current_act()), kind_of,
               coalesce(new ->> key, old ->> key),
               CASE WHEN old IS NULL THEN 'I' WHEN new IS NULL THEN 'D' ELSE 'U' END,
               audit_hide(was, hidden), audit_hide(is_now, hidden)
        FROM (SELECT to_jsonb(o) AS old FROM old_rows o OFFSET 0) AS olds
        FULL JOIN (SELECT to_jsonb(n) AS new FROM new_rows n OFFSET 0) AS news
            ON olds.old ->> key = news.new ->> key
        CROSS JOIN LATERAL (
            SELECT jsonb_object_agg(name, old -> name) FILTER (WHERE old IS NOT NULL) AS was,
                   jsonb_object_agg(name, new -> name) FILTER (WHERE new IS NOT NULL) AS is_now
            FROM jsonb_object_keys(coalesce(old, new)) AS name
            WHERE old -> name IS DISTINCT FROM new -> name
        ) AS difference
        WHERE was IS NOT NULL OR is_now IS NOT NULL;
    END IF;
    RETURN NULL;
END $$;

-- TRUNCATE has no transition tables; the rows are read before they go.
CREATE FUNCTION audit_note_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    gone bigint;
BEGIN
    EXECUTE format(
        'INSERT INTO audit_entry (kind, act_id, object_type, object_id, operation, before)'
        ' SELECT ''change'', audit_current_act(), $1, to_jsonb(o) ->> $2, ''D'','
        ' audit_hide(to_jsonb(o), $3) FROM %I.%I AS o', TG_TABLE_SCHEMA, TG_TABLE_NAME)
        USING TG_ARGV[0], TG_ARGV[1], TG_ARGV[2]::text[];
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN
        INSERT INTO audit_entry (kind, act_id, object_type, operation, detail)
        VALUES ('change', audit_current_act(), TG_ARGV[0], 'T', jsonb_build_object('rows', gone));
    END IF;
    RETURN NULL;
END $$;

-- The chain --------------------------------------------------------------------------------

-- What the chain is over: every column, as jsonb text. PostgreSQL writes jsonb in one way only
-- (keys by length, then bytes; one blank after colon and comma), numbers are decimal, times are
-- UTC with six places. `rules/chain.py` writes the same text without PostgreSQL.
CREATE FUNCTION audit_canonical(e audit_entry) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'id', e.id,
        'recorded_at', to_char(e.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'occurred_at', to_char(e.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'kind', e.kind, 'act', e.act, 'act_id', e.act_id,
        'account_id', e.account_id, 'account_label', e.account_label, 'roles', e.roles,
        'channel', e.channel, 'address', e.address, 'session', e.session, 'agent', e.agent,
        'trace_id', e.trace_id, 'object_type', e.object_type, 'object_id', e.object_id,
        'object_label', e.object_label, 'operation', e.operation, 'before', e.before,
        'after', e.after, 'detail', e.detail, 'reason', e.reason, 'result', e.result,
        'db_user', e.db_user, 'application', e.application, 'tx', e.tx
    )::text
$$;
