-- Generated from the migrations by `python -m mnemata.store.schema`: read it, do not edit it.

CREATE TYPE public.procrastinate_job_event_type AS ENUM (
    'deferred',
    'started',
    'deferred_for_retry',
    'failed',
    'succeeded',
    'cancelled',
    'abort_requested',
    'aborted',
    'scheduled',
    'retried'
);

CREATE TYPE public.procrastinate_job_status AS ENUM (
    'todo',
    'doing',
    'succeeded',
    'failed',
    'cancelled',
    'aborting',
    'aborted'
);

CREATE TYPE public.procrastinate_job_to_defer_v1 AS (
	queue_name character varying,
	task_name character varying,
	priority integer,
	lock text,
	queueing_lock text,
	args jsonb,
	scheduled_at timestamp with time zone
);

CREATE FUNCTION public.memory_words(role text, content text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_tsvector('english'::regconfig, "left"((COALESCE((role || ' '::text), ''::text) || content), 100000));

COMMENT ON FUNCTION public.memory_words(role text, content text) IS 'The words by which full-text search finds a memory: its speaker and its content.';

CREATE FUNCTION public.procrastinate_cancel_job_v1(job_id bigint, abort boolean, delete_job boolean) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    _job_id bigint;
BEGIN
    IF delete_job THEN
        DELETE FROM procrastinate_jobs
        WHERE id = job_id AND status = 'todo'
        RETURNING id INTO _job_id;
    END IF;
    IF _job_id IS NULL THEN
        IF abort THEN
            UPDATE procrastinate_jobs
            SET abort_requested = true,
                status = CASE status
                    WHEN 'todo' THEN 'cancelled'::procrastinate_job_status ELSE status
                END
            WHERE id = job_id AND status IN ('todo', 'doing')
            RETURNING id INTO _job_id;
        ELSE
            UPDATE procrastinate_jobs
            SET status = 'cancelled'::procrastinate_job_status
            WHERE id = job_id AND status = 'todo'
            RETURNING id INTO _job_id;
        END IF;
    END IF;
    RETURN _job_id;
END;
$$;

CREATE FUNCTION public.procrastinate_defer_jobs_v1(jobs public.procrastinate_job_to_defer_v1[]) RETURNS bigint[]
    LANGUAGE plpgsql
    AS $$
DECLARE
    job_ids bigint[];
BEGIN
    WITH inserted_jobs AS (
        INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at)
        SELECT (job).queue_name,
               (job).task_name,
               (job).priority,
               (job).lock,
               (job).queueing_lock,
               (job).args,
               (job).scheduled_at
        FROM unnest(jobs) AS job
        RETURNING id
    )
    SELECT array_agg(id) FROM inserted_jobs INTO job_ids;

    RETURN job_ids;
END;
$$;

CREATE FUNCTION public.procrastinate_defer_periodic_job_v2(_queue_name character varying, _lock character varying, _queueing_lock character varying, _task_name character varying, _priority integer, _periodic_id character varying, _defer_timestamp bigint, _args jsonb) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
	_job_id bigint;
	_defer_id bigint;
BEGIN
    INSERT
        INTO procrastinate_periodic_defers (task_name, periodic_id, defer_timestamp)
        VALUES (_task_name, _periodic_id, _defer_timestamp)
        ON CONFLICT DO NOTHING
        RETURNING id into _defer_id;

    IF _defer_id IS NULL THEN
        RETURN NULL;
    END IF;

    UPDATE procrastinate_periodic_defers
        SET job_id = (
            SELECT COALESCE((
                SELECT unnest(procrastinate_defer_jobs_v1(
                    ARRAY[
                        ROW(
                            _queue_name,
                            _task_name,
                            _priority,
                            _lock,
                            _queueing_lock,
                            _args,
                            NULL::timestamptz
                        )
                    ]::procrastinate_job_to_defer_v1[]
                ))
            ), NULL)
        )
        WHERE id = _defer_id
        RETURNING job_id INTO _job_id;

    DELETE
        FROM procrastinate_periodic_defers
        USING (
            SELECT id
            FROM procrastinate_periodic_defers
            WHERE procrastinate_periodic_defers.task_name = _task_name
            AND procrastinate_periodic_defers.periodic_id = _periodic_id
            AND procrastinate_periodic_defers.defer_timestamp < _defer_timestamp
            ORDER BY id
            FOR UPDATE
        ) to_delete
        WHERE procrastinate_periodic_defers.id = to_delete.id;

    RETURN _job_id;
END;
$$;

CREATE TABLE public.procrastinate_jobs (
    id bigint NOT NULL,
    queue_name character varying(128) NOT NULL,
    task_name character varying(128) NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    lock text,
    queueing_lock text,
    args jsonb DEFAULT '{}'::jsonb NOT NULL,
    status public.procrastinate_job_status DEFAULT 'todo'::public.procrastinate_job_status NOT NULL,
    scheduled_at timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    abort_requested boolean DEFAULT false NOT NULL,
    worker_id bigint,
    CONSTRAINT check_not_todo_abort_requested CHECK ((NOT ((status = 'todo'::public.procrastinate_job_status) AND (abort_requested = true))))
);

CREATE FUNCTION public.procrastinate_fetch_job_v2(target_queue_names character varying[], p_worker_id bigint) RETURNS public.procrastinate_jobs
    LANGUAGE plpgsql
    AS $$
DECLARE
	found_jobs procrastinate_jobs;
BEGIN
    WITH candidate AS (
        SELECT jobs.*
            FROM procrastinate_jobs AS jobs
            WHERE
                -- reject the job if its lock has earlier or higher priority jobs
                NOT EXISTS (
                    SELECT 1
                        FROM procrastinate_jobs AS other_jobs
                        WHERE
                            jobs.lock IS NOT NULL
                            AND other_jobs.lock = jobs.lock
                            AND (
                                -- job with same lock is already running
                                other_jobs.status = 'doing'
                                OR
                                -- job with same lock is waiting and has higher priority (or same priority but was queued first)
                                (
                                    other_jobs.status = 'todo'
                                    AND (
                                        other_jobs.priority > jobs.priority
                                        OR (
                                        other_jobs.priority = jobs.priority
                                        AND other_jobs.id < jobs.id
                                        )
                                    )
                                )
                            )
                )
                AND jobs.status = 'todo'
                AND (target_queue_names IS NULL OR jobs.queue_name = ANY( target_queue_names ))
                AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
            ORDER BY jobs.priority DESC, jobs.id ASC LIMIT 1
            FOR UPDATE OF jobs SKIP LOCKED
    )
    UPDATE procrastinate_jobs
        SET status = 'doing', worker_id = p_worker_id
        FROM candidate
        WHERE procrastinate_jobs.id = candidate.id
        RETURNING procrastinate_jobs.* INTO found_jobs;

 RETURN found_jobs;
END;
$$;

CREATE FUNCTION public.procrastinate_finish_job_v1(job_id bigint, end_status public.procrastinate_job_status, delete_job boolean) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    _job_id bigint;
BEGIN
    IF end_status NOT IN ('succeeded', 'failed', 'aborted') THEN
        RAISE 'End status should be either "succeeded", "failed" or "aborted" (job id: %)', job_id;
    END IF;
    IF delete_job THEN
        DELETE FROM procrastinate_jobs
        WHERE id = job_id AND status IN ('todo', 'doing')
        RETURNING id INTO _job_id;
    ELSE
        UPDATE procrastinate_jobs
        SET status = end_status,
            abort_requested = false,
            attempts = CASE status
                WHEN 'doing' THEN attempts + 1 ELSE attempts
            END
        WHERE id = job_id AND status IN ('todo', 'doing')
        RETURNING id INTO _job_id;
    END IF;
    IF _job_id IS NULL THEN
        RAISE 'Job was not found or not in "doing" or "todo" status (job id: %)', job_id;
    END IF;
END;
$$;

CREATE FUNCTION public.procrastinate_notify_queue_abort_job_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    payload TEXT;
BEGIN
    SELECT json_build_object('type', 'abort_job_requested', 'job_id', NEW.id)::text INTO payload;
	PERFORM pg_notify('procrastinate_queue_v1#' || NEW.queue_name, payload);
	PERFORM pg_notify('procrastinate_any_queue_v1', payload);
	RETURN NEW;
END;
$$;

CREATE FUNCTION public.procrastinate_notify_queue_job_inserted_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    payload TEXT;
BEGIN
    SELECT json_build_object('type', 'job_inserted', 'job_id', NEW.id)::text INTO payload;
	PERFORM pg_notify('procrastinate_queue_v1#' || NEW.queue_name, payload);
	PERFORM pg_notify('procrastinate_any_queue_v1', payload);
	RETURN NEW;
END;
$$;

CREATE FUNCTION public.procrastinate_prune_stalled_workers_v1(seconds_since_heartbeat double precision) RETURNS TABLE(worker_id bigint)
    LANGUAGE plpgsql
    AS $$
BEGIN
    RETURN QUERY
    DELETE FROM procrastinate_workers
    WHERE last_heartbeat < NOW() - (seconds_since_heartbeat || 'SECOND')::INTERVAL
    RETURNING procrastinate_workers.id;
END;
$$;

CREATE FUNCTION public.procrastinate_register_worker_v1() RETURNS TABLE(worker_id bigint)
    LANGUAGE plpgsql
    AS $$
BEGIN
    RETURN QUERY
    INSERT INTO procrastinate_workers DEFAULT VALUES
    RETURNING procrastinate_workers.id;
END;
$$;

CREATE FUNCTION public.procrastinate_retry_job_v1(job_id bigint, retry_at timestamp with time zone, new_priority integer, new_queue_name character varying, new_lock character varying) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    _job_id bigint;
    _abort_requested boolean;
BEGIN
    SELECT abort_requested FROM procrastinate_jobs
    WHERE id = job_id AND status = 'doing'
    FOR UPDATE
    INTO _abort_requested;
    IF _abort_requested THEN
        UPDATE procrastinate_jobs
        SET status = 'failed'::procrastinate_job_status
        WHERE id = job_id AND status = 'doing'
        RETURNING id INTO _job_id;
    ELSE
        UPDATE procrastinate_jobs
        SET status = 'todo'::procrastinate_job_status,
            attempts = attempts + 1,
            scheduled_at = retry_at,
            priority = COALESCE(new_priority, priority),
            queue_name = COALESCE(new_queue_name, queue_name),
            lock = COALESCE(new_lock, lock)
        WHERE id = job_id AND status = 'doing'
        RETURNING id INTO _job_id;
    END IF;

    IF _job_id IS NULL THEN
        RAISE 'Job was not found or not in "doing" status (job id: %)', job_id;
    END IF;
END;
$$;

CREATE FUNCTION public.procrastinate_retry_job_v2(job_id bigint, retry_at timestamp with time zone, new_priority integer, new_queue_name character varying, new_lock character varying) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    _job_id bigint;
    _abort_requested boolean;
    _current_status procrastinate_job_status;
BEGIN
    SELECT status, abort_requested FROM procrastinate_jobs
    WHERE id = job_id AND status IN ('doing', 'failed')
    FOR UPDATE
    INTO _current_status, _abort_requested;
    IF _current_status = 'doing' AND _abort_requested THEN
        UPDATE procrastinate_jobs
        SET status = 'failed'::procrastinate_job_status
        WHERE id = job_id AND status = 'doing'
        RETURNING id INTO _job_id;
    ELSE
        UPDATE procrastinate_jobs
        SET status = 'todo'::procrastinate_job_status,
            attempts = attempts + 1,
            scheduled_at = retry_at,
            priority = COALESCE(new_priority, priority),
            queue_name = COALESCE(new_queue_name, queue_name),
            lock = COALESCE(new_lock, lock)
        WHERE id = job_id AND status IN ('doing', 'failed')
        RETURNING id INTO _job_id;
    END IF;

    IF _job_id IS NULL THEN
        RAISE 'Job was not found or has an invalid status to retry (job id: %)', job_id;
    END IF;

END;
$$;

CREATE FUNCTION public.procrastinate_trigger_abort_requested_events_procedure_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO procrastinate_events(job_id, type)
        VALUES (NEW.id, 'abort_requested'::procrastinate_job_event_type);
    RETURN NEW;
END;
$$;

CREATE FUNCTION public.procrastinate_trigger_function_scheduled_events_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO procrastinate_events(job_id, type, at)
        VALUES (NEW.id, 'scheduled'::procrastinate_job_event_type, NEW.scheduled_at);

	RETURN NEW;
END;
$$;

CREATE FUNCTION public.procrastinate_trigger_function_status_events_insert_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO procrastinate_events(job_id, type)
        VALUES (NEW.id, 'deferred'::procrastinate_job_event_type);
	RETURN NEW;
END;
$$;

CREATE FUNCTION public.procrastinate_trigger_function_status_events_update_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    WITH t AS (
        SELECT CASE
            WHEN OLD.status = 'todo'::procrastinate_job_status
                AND NEW.status = 'doing'::procrastinate_job_status
                THEN 'started'::procrastinate_job_event_type
            WHEN OLD.status = 'doing'::procrastinate_job_status
                AND NEW.status = 'todo'::procrastinate_job_status
                THEN 'deferred_for_retry'::procrastinate_job_event_type
            WHEN OLD.status = 'doing'::procrastinate_job_status
                AND NEW.status = 'failed'::procrastinate_job_status
                THEN 'failed'::procrastinate_job_event_type
            WHEN OLD.status = 'doing'::procrastinate_job_status
                AND NEW.status = 'succeeded'::procrastinate_job_status
                THEN 'succeeded'::procrastinate_job_event_type
            WHEN OLD.status = 'todo'::procrastinate_job_status
                AND (
                    NEW.status = 'cancelled'::procrastinate_job_status
                    OR NEW.status = 'failed'::procrastinate_job_status
                    OR NEW.status = 'succeeded'::procrastinate_job_status
                )
                THEN 'cancelled'::procrastinate_job_event_type
            WHEN OLD.status = 'doing'::procrastinate_job_status
                AND NEW.status = 'aborted'::procrastinate_job_status
                THEN 'aborted'::procrastinate_job_event_type
            WHEN OLD.status = 'failed'::procrastinate_job_status
                AND NEW.status = 'todo'::procrastinate_job_status
                THEN 'retried'::procrastinate_job_event_type
            ELSE NULL
        END as event_type
    )
    INSERT INTO procrastinate_events(job_id, type)
        SELECT NEW.id, t.event_type
        FROM t
        WHERE t.event_type IS NOT NULL;
	RETURN NEW;
END;
$$;

CREATE FUNCTION public.procrastinate_unlink_periodic_defers_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE procrastinate_periodic_defers
    SET job_id = NULL
    WHERE job_id = OLD.id;
    RETURN OLD;
END;
$$;

CREATE FUNCTION public.procrastinate_unregister_worker_v1(worker_id bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    DELETE FROM procrastinate_workers
    WHERE id = worker_id;
END;
$$;

CREATE FUNCTION public.procrastinate_update_heartbeat_v1(worker_id bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE procrastinate_workers
    SET last_heartbeat = NOW()
    WHERE id = worker_id;
END;
$$;

CREATE FUNCTION public.turn_sequence(sequence bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(sequence, '9007199254740992'::bigint);

COMMENT ON FUNCTION public.turn_sequence(sequence bigint) IS 'A sequence number, or 2^53 where there is none: beyond the largest one allowed.';

CREATE TABLE public.api_keys (
    id text NOT NULL COLLATE pg_catalog."C",
    tenant text NOT NULL COLLATE pg_catalog."C",
    role text NOT NULL COLLATE pg_catalog."C",
    label text NOT NULL,
    secret_hash bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT api_keys_role_known CHECK ((role = ANY (ARRAY['reader'::text, 'writer'::text, 'admin'::text, 'operator'::text]))),
    CONSTRAINT api_keys_secret_hash_size CHECK ((octet_length(secret_hash) >= 32))
);

ALTER TABLE ONLY public.api_keys FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE public.api_keys IS 'Credentials. The secret itself is shown once and never stored.';

COMMENT ON COLUMN public.api_keys.id IS 'The public part of a key.';

COMMENT ON COLUMN public.api_keys.tenant IS 'The tenant that the key opens.';

COMMENT ON COLUMN public.api_keys.role IS 'What the key may do.';

COMMENT ON COLUMN public.api_keys.label IS 'What people call it.';

COMMENT ON COLUMN public.api_keys.secret_hash IS 'A hash of the secret part.';

COMMENT ON COLUMN public.api_keys.created_at IS 'When it was made.';

COMMENT ON COLUMN public.api_keys.last_used_at IS 'When it was last used, to the minute.';

COMMENT ON COLUMN public.api_keys.revoked_at IS 'From then on it opens nothing.';

CREATE TABLE public.cache_doubts (
    cache text NOT NULL COLLATE pg_catalog."C",
    told bigint NOT NULL,
    mended bigint NOT NULL
);

COMMENT ON TABLE public.cache_doubts IS 'Caches that could not be told of a write. While one is told of more than was mended, nobody reads it.';

COMMENT ON COLUMN public.cache_doubts.cache IS 'The namespace of its keys.';

COMMENT ON COLUMN public.cache_doubts.told IS 'One higher with every call that failed.';

COMMENT ON COLUMN public.cache_doubts.mended IS 'How much of what was told was told before everything cached was given up.';

CREATE TABLE public.changes (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    seq bigint NOT NULL,
    memory_id uuid NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    version bigint NOT NULL,
    operation text NOT NULL COLLATE pg_catalog."C",
    tenant text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT changes_operation_known CHECK ((operation = ANY (ARRAY['created'::text, 'updated'::text, 'restored'::text, 'forgotten'::text, 'expired'::text, 'purged'::text, 'embedded'::text])))
);

ALTER TABLE ONLY public.changes FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE public.changes IS 'The feed that indexes follow, in the order (xid, seq). No foreign keys: it outlives what it tells of.';

COMMENT ON COLUMN public.changes.xid IS 'The writing transaction: readers stop below the oldest one that is still running.';

COMMENT ON COLUMN public.changes.seq IS 'Rises within one transaction; between transactions it may not follow the order of commits.';

COMMENT ON COLUMN public.changes.memory_id IS 'What changed.';

COMMENT ON COLUMN public.changes.recorded_at IS 'When.';

COMMENT ON COLUMN public.changes.version IS 'The version that the change made, or whose vector arrived.';

COMMENT ON COLUMN public.changes.operation IS 'What was done.';

COMMENT ON COLUMN public.changes.tenant IS 'Whose memory; row-level security goes by it.';

ALTER TABLE public.changes ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.changes_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 32
);

CREATE TABLE public.embeddings (
    dimensions bigint NOT NULL,
    tenant text NOT NULL COLLATE pg_catalog."C",
    space text NOT NULL COLLATE pg_catalog."C",
    key bytea NOT NULL,
    vector bytea NOT NULL,
    checksum bigint,
    CONSTRAINT embeddings_key_size CHECK ((octet_length(key) = 32)),
    CONSTRAINT embeddings_space_size CHECK (((octet_length(space) >= 1) AND (octet_length(space) <= 256))),
    CONSTRAINT embeddings_vector_size CHECK (((dimensions > 0) AND (octet_length(vector) = (dimensions * 4))))
);
ALTER TABLE ONLY public.embeddings ALTER COLUMN vector SET STATISTICS 0;
ALTER TABLE ONLY public.embeddings ALTER COLUMN vector SET STORAGE EXTERNAL;

ALTER TABLE ONLY public.embeddings FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE public.embeddings IS 'Vectors by space and embedded text. Per tenant: none can time or poison the text of another.';

COMMENT ON COLUMN public.embeddings.dimensions IS 'Values in the vector.';

COMMENT ON COLUMN public.embeddings.tenant IS 'Whose text; row-level security goes by it.';

COMMENT ON COLUMN public.embeddings.space IS 'A model at a version: spaces never mix.';

COMMENT ON COLUMN public.embeddings.key IS 'SHA-256 of the embedded text.';

COMMENT ON COLUMN public.embeddings.vector IS 'Little-endian float32, of unit length.';

COMMENT ON COLUMN public.embeddings.checksum IS 'The CRC-32 of the vector; NULL: it was stored before there were checksums.';

CREATE TABLE public.feed_epoch (
    singleton boolean DEFAULT true NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT feed_epoch_one_row CHECK (singleton)
);

COMMENT ON TABLE public.feed_epoch IS 'One row: positions of another epoch mean nothing here.';

COMMENT ON COLUMN public.feed_epoch.singleton IS 'Always true: there is one row.';

COMMENT ON COLUMN public.feed_epoch.id IS 'Chosen anew when the database was restored from a dump.';

COMMENT ON COLUMN public.feed_epoch.started_at IS 'When the epoch began.';

CREATE TABLE public.idempotency_keys (
    tenant text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    fingerprint bytea NOT NULL,
    outcome bytea,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT idempotency_keys_key_length CHECK (((char_length(key) >= 1) AND (char_length(key) <= 256)))
);

ALTER TABLE ONLY public.idempotency_keys FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE public.idempotency_keys IS 'Writes that were done, so that a repeated request does not repeat them.';

COMMENT ON COLUMN public.idempotency_keys.tenant IS 'Whose key; row-level security goes by it.';

COMMENT ON COLUMN public.idempotency_keys.key IS 'What the caller sent as Idempotency-Key.';

COMMENT ON COLUMN public.idempotency_keys.fingerprint IS 'A hash of the request: another request with this key is refused.';

COMMENT ON COLUMN public.idempotency_keys.outcome IS 'What the write made; null where it made nothing to tell.';

COMMENT ON COLUMN public.idempotency_keys.expires_at IS 'From then on the key is free again.';

CREATE TABLE public.import_chunks (
    job_id bigint NOT NULL,
    number bigint NOT NULL,
    tenant text NOT NULL COLLATE pg_catalog."C",
    memories bigint NOT NULL,
    items text,
    outcome jsonb,
    CONSTRAINT import_chunks_done_check CHECK (((items IS NULL) <> (outcome IS NULL))),
    CONSTRAINT import_chunks_memories_check CHECK ((memories > 0))
);

ALTER TABLE ONLY public.import_chunks FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE public.import_chunks IS 'Memories that a job is to store, in pieces that are each stored in one transaction. They go when it is done or cancelled; when it failed, with the job.';

COMMENT ON COLUMN public.import_chunks.job_id IS 'The job.';

COMMENT ON COLUMN public.import_chunks.number IS 'Its place among the chunks of the job, from 0.';

COMMENT ON COLUMN public.import_chunks.tenant IS 'Whose memories they are.';

COMMENT ON COLUMN public.import_chunks.memories IS 'How many they are.';

COMMENT ON COLUMN public.import_chunks.items IS 'What is to be stored, as JSON; NULL once it is.';

COMMENT ON COLUMN public.import_chunks.outcome IS 'What came of it, once it is stored.';

CREATE TABLE public.index_positions (
    name text NOT NULL COLLATE pg_catalog."C",
    epoch text NOT NULL COLLATE pg_catalog."C",
    xid xid8 NOT NULL,
    seq bigint NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.index_positions IS 'How far each index has come, as it said: a report, the index itself knows for sure.';

COMMENT ON COLUMN public.index_positions.name IS 'The index.';

COMMENT ON COLUMN public.index_positions.epoch IS 'The epoch of the feed that the position is of.';

COMMENT ON COLUMN public.index_positions.xid IS 'The transaction of the last change that is durable in the index.';

COMMENT ON COLUMN public.index_positions.seq IS 'The sequence number of that change.';

COMMENT ON COLUMN public.index_positions.updated_at IS 'When it was reported.';

CREATE TABLE public.index_reached (
    index_name text NOT NULL COLLATE pg_catalog."C",
    partition bigint NOT NULL,
    epoch text NOT NULL COLLATE pg_catalog."C",
    token bigint NOT NULL,
    xid xid8 NOT NULL,
    seq bigint NOT NULL,
    caught_up boolean NOT NULL
);

COMMENT ON TABLE public.index_reached IS 'What searches see by now of each partition of an index, for the processes that do not feed it.';

COMMENT ON COLUMN public.index_reached.index_name IS 'The index.';

COMMENT ON COLUMN public.index_reached.partition IS 'The part of the feed.';

COMMENT ON COLUMN public.index_reached.epoch IS 'The epoch of the feed that the position is of.';

COMMENT ON COLUMN public.index_reached.token IS 'Of the lease under which this was said.';

COMMENT ON COLUMN public.index_reached.xid IS 'The transaction of the last change that searches see.';

COMMENT ON COLUMN public.index_reached.seq IS 'The sequence number of that change.';

COMMENT ON COLUMN public.index_reached.caught_up IS 'Whether the head of the feed was reached since the index was begun.';

CREATE SEQUENCE public.index_tickets
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

COMMENT ON SEQUENCE public.index_tickets IS 'The version that an index writes a document with: a later reading has a higher one.';

CREATE TABLE public.job_reports (
    job_id bigint NOT NULL,
    tenant text NOT NULL COLLATE pg_catalog."C",
    done bigint DEFAULT 0 NOT NULL,
    total bigint DEFAULT 0 NOT NULL,
    outcome jsonb,
    code text COLLATE pg_catalog."C",
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL
);

ALTER TABLE ONLY public.job_reports FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE public.job_reports IS 'How far each job is, and what came of it.';

COMMENT ON COLUMN public.job_reports.job_id IS 'The job.';

COMMENT ON COLUMN public.job_reports.tenant IS 'Whose operator asked for it.';

COMMENT ON COLUMN public.job_reports.done IS 'How much is behind it.';

COMMENT ON COLUMN public.job_reports.total IS 'How much there is in all; zero where that is not known yet.';

COMMENT ON COLUMN public.job_reports.outcome IS 'What it made, when it has succeeded.';

COMMENT ON COLUMN public.job_reports.code IS 'The stable code of the error, when it has failed.';

COMMENT ON COLUMN public.job_reports.created_at IS 'When it was asked for.';

COMMENT ON COLUMN public.job_reports.updated_at IS 'When it last told of itself.';

COMMENT ON COLUMN public.job_reports.id IS 'The job''s name for callers: the numbers of the queue are one after the other.';

CREATE TABLE public.leases (
    name text NOT NULL COLLATE pg_catalog."C",
    owner text NOT NULL COLLATE pg_catalog."C",
    token bigint NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.leases IS 'Work that one process at a time does, and which it is. A process that ends without a word loses its work when the time is over.';

COMMENT ON COLUMN public.leases.name IS 'What is leased.';

COMMENT ON COLUMN public.leases.owner IS 'The process that has it; empty where it was given back.';

COMMENT ON COLUMN public.leases.token IS 'One higher with every new owner: what an earlier owner still says is known by it.';

COMMENT ON COLUMN public.leases.expires_at IS 'From then on, by this server''s clock, anybody may take it.';

CREATE TABLE public.memories (
    id uuid NOT NULL,
    version bigint NOT NULL,
    importance double precision NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    occurred_at timestamp with time zone,
    expires_at timestamp with time zone,
    deleted_at timestamp with time zone,
    sequence bigint,
    superseded_by uuid,
    tenant text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL COLLATE pg_catalog."C",
    user_id text COLLATE pg_catalog."C",
    agent_id text COLLATE pg_catalog."C",
    session_id text COLLATE pg_catalog."C",
    role text COLLATE pg_catalog."C",
    source text COLLATE pg_catalog."C",
    external_id text COLLATE pg_catalog."C",
    tags text[] NOT NULL COLLATE pg_catalog."C",
    metadata json NOT NULL,
    attributes text[] NOT NULL COLLATE pg_catalog."C",
    term_hashes bigint[] NOT NULL,
    content_hash bytea NOT NULL,
    embedding_key bytea NOT NULL,
    content text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT memories_content_hash_size CHECK ((octet_length(content_hash) = 32)),
    CONSTRAINT memories_content_size CHECK (((octet_length(content) >= 1) AND (octet_length(content) <= 1048576))),
    CONSTRAINT memories_embedding_key_size CHECK ((octet_length(embedding_key) = 32)),
    CONSTRAINT memories_importance_range CHECK (((importance >= (0)::double precision) AND (importance <= (1)::double precision))),
    CONSTRAINT memories_metadata_object CHECK ((json_typeof(metadata) = 'object'::text)),
    CONSTRAINT memories_sequence_range CHECK (((sequence >= 0) AND (sequence <= '9007199254740991'::bigint))),
    CONSTRAINT memories_version_positive CHECK ((version >= 1))
);
ALTER TABLE ONLY public.memories ALTER COLUMN metadata SET STATISTICS 0;
ALTER TABLE ONLY public.memories ALTER COLUMN content SET STATISTICS 0;

ALTER TABLE ONLY public.memories FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE public.memories IS 'Every memory as it is now; one row each. Forgotten ones stay until they are purged.';

COMMENT ON COLUMN public.memories.id IS 'UUIDv7: ordered by the time of storing.';

COMMENT ON COLUMN public.memories.version IS 'Counts from 1; the ETag.';

COMMENT ON COLUMN public.memories.importance IS 'From 0 to 1.';

COMMENT ON COLUMN public.memories.created_at IS 'When it was first stored.';

COMMENT ON COLUMN public.memories.updated_at IS 'When this version was stored.';

COMMENT ON COLUMN public.memories.occurred_at IS 'When it was true in the world.';

COMMENT ON COLUMN public.memories.expires_at IS 'From then on no read sees it; the sweeper marks it as deleted.';

COMMENT ON COLUMN public.memories.deleted_at IS 'When it was forgotten or had expired; purged after the grace period.';

COMMENT ON COLUMN public.memories.sequence IS 'Its place in its session.';

COMMENT ON COLUMN public.memories.superseded_by IS 'The newer memory in its place. No foreign key: purging that one must not bring this one back.';

COMMENT ON COLUMN public.memories.tenant IS 'Whose it is; row-level security goes by it.';

COMMENT ON COLUMN public.memories.kind IS 'semantic, episodic, procedural, working, or the user''s own.';

COMMENT ON COLUMN public.memories.user_id IS 'Narrows inside a tenant.';

COMMENT ON COLUMN public.memories.agent_id IS 'Narrows inside a tenant.';

COMMENT ON COLUMN public.memories.session_id IS 'The conversation whose turn it is.';

COMMENT ON COLUMN public.memories.role IS 'Who speaks.';

COMMENT ON COLUMN public.memories.source IS 'Where it came from.';

COMMENT ON COLUMN public.memories.external_id IS 'The caller''s own key, unique in its tenant: the upsert key.';

COMMENT ON COLUMN public.memories.tags IS 'Distinct, in the caller''s order.';

COMMENT ON COLUMN public.memories.metadata IS 'JSON as it was sent; filters go by attributes.';

COMMENT ON COLUMN public.memories.attributes IS 'The metadata as typed terms whose byte order is the order of the values.';

COMMENT ON COLUMN public.memories.term_hashes IS 'Short hashes of tags and attributes, for the index: a term may be longer than an index entry.';

COMMENT ON COLUMN public.memories.content_hash IS 'SHA-256 of the content.';

COMMENT ON COLUMN public.memories.embedding_key IS 'SHA-256 of the embedded text (speaker and content): the key of its vector.';

COMMENT ON COLUMN public.memories.content IS 'Verbatim, never rewritten.';

CREATE VIEW public.own_memories AS
 SELECT id,
    version,
    importance,
    created_at,
    updated_at,
    occurred_at,
    expires_at,
    deleted_at,
    sequence,
    superseded_by,
    tenant,
    kind,
    user_id,
    agent_id,
    session_id,
    role,
    source,
    external_id,
    tags,
    metadata,
    attributes,
    term_hashes,
    content_hash,
    embedding_key,
    content
   FROM public.memories
  WHERE (tenant = current_setting('mnemata.tenant'::text));

COMMENT ON VIEW public.own_memories IS 'The memories of the transaction''s tenant, for queries by tag, metadata or words.';

CREATE TABLE public.poison_changes (
    memory_id uuid NOT NULL,
    version bigint NOT NULL,
    xid xid8 NOT NULL,
    seq bigint NOT NULL,
    attempts bigint DEFAULT 1 NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    first_seen timestamp with time zone NOT NULL,
    last_seen timestamp with time zone NOT NULL,
    tenant text NOT NULL COLLATE pg_catalog."C",
    operation text NOT NULL COLLATE pg_catalog."C",
    code text NOT NULL COLLATE pg_catalog."C"
);

ALTER TABLE ONLY public.poison_changes FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE public.poison_changes IS 'Changes that an index could not apply, set aside so that they stop nothing else; the latest of each memory.';

COMMENT ON COLUMN public.poison_changes.memory_id IS 'The memory that is not in the index as it should be.';

COMMENT ON COLUMN public.poison_changes.version IS 'Its version at that change.';

COMMENT ON COLUMN public.poison_changes.xid IS 'The position of the change.';

COMMENT ON COLUMN public.poison_changes.seq IS 'The position of the change.';

COMMENT ON COLUMN public.poison_changes.attempts IS 'How often it was tried.';

COMMENT ON COLUMN public.poison_changes.recorded_at IS 'When the change was made.';

COMMENT ON COLUMN public.poison_changes.first_seen IS 'When it failed first.';

COMMENT ON COLUMN public.poison_changes.last_seen IS 'When it failed last.';

COMMENT ON COLUMN public.poison_changes.tenant IS 'Whose memory.';

COMMENT ON COLUMN public.poison_changes.operation IS 'What was to be applied.';

COMMENT ON COLUMN public.poison_changes.code IS 'The stable code of the error.';

CREATE TABLE public.procrastinate_events (
    id bigint NOT NULL,
    job_id bigint NOT NULL,
    type public.procrastinate_job_event_type,
    at timestamp with time zone DEFAULT now()
);

CREATE SEQUENCE public.procrastinate_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.procrastinate_events_id_seq OWNED BY public.procrastinate_events.id;

CREATE SEQUENCE public.procrastinate_jobs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.procrastinate_jobs_id_seq OWNED BY public.procrastinate_jobs.id;

CREATE TABLE public.procrastinate_periodic_defers (
    id bigint NOT NULL,
    task_name character varying(128) NOT NULL,
    defer_timestamp bigint,
    job_id bigint,
    periodic_id character varying(128) DEFAULT ''::character varying NOT NULL
);

CREATE SEQUENCE public.procrastinate_periodic_defers_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.procrastinate_periodic_defers_id_seq OWNED BY public.procrastinate_periodic_defers.id;

CREATE TABLE public.procrastinate_workers (
    id bigint NOT NULL,
    last_heartbeat timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE public.procrastinate_workers ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.procrastinate_workers_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.schema_revision (
    version_num character varying(32) NOT NULL
);

CREATE TABLE public.tenants (
    id text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tenants_id_length CHECK (((octet_length(id) >= 1) AND (octet_length(id) <= 256)))
);

ALTER TABLE ONLY public.tenants FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE public.tenants IS 'Who memories belong to. Tenants share nothing.';

COMMENT ON COLUMN public.tenants.id IS 'The name that a credential carries.';

COMMENT ON COLUMN public.tenants.created_at IS 'When the tenant was made.';

CREATE TABLE public.versions (
    memory_id uuid NOT NULL,
    version bigint NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    replaced_at timestamp with time zone,
    importance double precision NOT NULL,
    created_at timestamp with time zone NOT NULL,
    occurred_at timestamp with time zone,
    expires_at timestamp with time zone,
    deleted_at timestamp with time zone,
    sequence bigint,
    superseded_by uuid,
    operation text NOT NULL COLLATE pg_catalog."C",
    tenant text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL COLLATE pg_catalog."C",
    user_id text COLLATE pg_catalog."C",
    agent_id text COLLATE pg_catalog."C",
    session_id text COLLATE pg_catalog."C",
    role text COLLATE pg_catalog."C",
    source text COLLATE pg_catalog."C",
    external_id text COLLATE pg_catalog."C",
    tags text[] NOT NULL COLLATE pg_catalog."C",
    metadata json NOT NULL,
    attributes text[] NOT NULL COLLATE pg_catalog."C",
    content_hash bytea NOT NULL,
    embedding_key bytea NOT NULL,
    content text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT versions_operation_known CHECK ((operation = ANY (ARRAY['created'::text, 'updated'::text, 'restored'::text, 'forgotten'::text, 'expired'::text]))),
    CONSTRAINT versions_version_positive CHECK ((version >= 1))
);
ALTER TABLE ONLY public.versions ALTER COLUMN metadata SET STATISTICS 0;
ALTER TABLE ONLY public.versions ALTER COLUMN content SET STATISTICS 0;

ALTER TABLE ONLY public.versions FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE public.versions IS 'The whole history of every memory: one row per version, the current one too.';

COMMENT ON COLUMN public.versions.memory_id IS 'Whose version it is.';

COMMENT ON COLUMN public.versions.version IS 'Counts from 1.';

COMMENT ON COLUMN public.versions.recorded_at IS 'When this version was stored: the memory was like this from then on.';

COMMENT ON COLUMN public.versions.replaced_at IS 'When the next version was stored; null for the current one.';

COMMENT ON COLUMN public.versions.importance IS 'As in memories.';

COMMENT ON COLUMN public.versions.created_at IS 'As in memories.';

COMMENT ON COLUMN public.versions.occurred_at IS 'As in memories.';

COMMENT ON COLUMN public.versions.expires_at IS 'As in memories.';

COMMENT ON COLUMN public.versions.deleted_at IS 'As in memories: set in the version that forgetting made.';

COMMENT ON COLUMN public.versions.sequence IS 'As in memories.';

COMMENT ON COLUMN public.versions.superseded_by IS 'As in memories.';

COMMENT ON COLUMN public.versions.operation IS 'What made this version.';

COMMENT ON COLUMN public.versions.tenant IS 'As in memories; row-level security goes by it.';

COMMENT ON COLUMN public.versions.kind IS 'As in memories.';

COMMENT ON COLUMN public.versions.user_id IS 'As in memories.';

COMMENT ON COLUMN public.versions.agent_id IS 'As in memories.';

COMMENT ON COLUMN public.versions.session_id IS 'As in memories.';

COMMENT ON COLUMN public.versions.role IS 'As in memories.';

COMMENT ON COLUMN public.versions.source IS 'As in memories.';

COMMENT ON COLUMN public.versions.external_id IS 'As in memories.';

COMMENT ON COLUMN public.versions.tags IS 'As in memories.';

COMMENT ON COLUMN public.versions.metadata IS 'As in memories.';

COMMENT ON COLUMN public.versions.attributes IS 'As in memories.';

COMMENT ON COLUMN public.versions.content_hash IS 'As in memories.';

COMMENT ON COLUMN public.versions.embedding_key IS 'As in memories.';

COMMENT ON COLUMN public.versions.content IS 'As in memories.';

ALTER TABLE ONLY public.procrastinate_events ALTER COLUMN id SET DEFAULT nextval('public.procrastinate_events_id_seq'::regclass);

ALTER TABLE ONLY public.procrastinate_jobs ALTER COLUMN id SET DEFAULT nextval('public.procrastinate_jobs_id_seq'::regclass);

ALTER TABLE ONLY public.procrastinate_periodic_defers ALTER COLUMN id SET DEFAULT nextval('public.procrastinate_periodic_defers_id_seq'::regclass);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.cache_doubts
    ADD CONSTRAINT cache_doubts_pkey PRIMARY KEY (cache);

ALTER TABLE ONLY public.changes
    ADD CONSTRAINT changes_pkey PRIMARY KEY (xid, seq);

ALTER TABLE ONLY public.embeddings
    ADD CONSTRAINT embeddings_pkey PRIMARY KEY (tenant, space, key);

ALTER TABLE ONLY public.feed_epoch
    ADD CONSTRAINT feed_epoch_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant, key);

ALTER TABLE ONLY public.import_chunks
    ADD CONSTRAINT import_chunks_pkey PRIMARY KEY (job_id, number);

ALTER TABLE ONLY public.index_positions
    ADD CONSTRAINT index_positions_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.index_reached
    ADD CONSTRAINT index_reached_pkey PRIMARY KEY (index_name, partition);

ALTER TABLE ONLY public.job_reports
    ADD CONSTRAINT job_reports_id_key UNIQUE (id);

ALTER TABLE ONLY public.job_reports
    ADD CONSTRAINT job_reports_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY public.leases
    ADD CONSTRAINT leases_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.memories
    ADD CONSTRAINT memories_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.poison_changes
    ADD CONSTRAINT poison_changes_pkey PRIMARY KEY (memory_id);

ALTER TABLE ONLY public.procrastinate_events
    ADD CONSTRAINT procrastinate_events_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.procrastinate_jobs
    ADD CONSTRAINT procrastinate_jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.procrastinate_periodic_defers
    ADD CONSTRAINT procrastinate_periodic_defers_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.procrastinate_periodic_defers
    ADD CONSTRAINT procrastinate_periodic_defers_unique UNIQUE (task_name, periodic_id, defer_timestamp);

ALTER TABLE ONLY public.procrastinate_workers
    ADD CONSTRAINT procrastinate_workers_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.schema_revision
    ADD CONSTRAINT schema_revision_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY public.tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.versions
    ADD CONSTRAINT versions_pkey PRIMARY KEY (memory_id, version);

CREATE INDEX api_keys_by_tenant ON public.api_keys USING btree (tenant, created_at);

CREATE INDEX changes_by_partition ON public.changes USING btree (((get_byte(uuid_send(memory_id), 15) & 15)), xid, seq);

CREATE INDEX idempotency_keys_to_drop ON public.idempotency_keys USING btree (expires_at);

CREATE INDEX idx_procrastinate_jobs_worker_not_null ON public.procrastinate_jobs USING btree (worker_id) WHERE ((worker_id IS NOT NULL) AND (status = 'doing'::public.procrastinate_job_status));

CREATE INDEX idx_procrastinate_workers_last_heartbeat ON public.procrastinate_workers USING btree (last_heartbeat);

CREATE INDEX memories_by_agent ON public.memories USING btree (tenant, agent_id, created_at, id) WHERE ((deleted_at IS NULL) AND (superseded_by IS NULL) AND (agent_id IS NOT NULL));

CREATE INDEX memories_by_created ON public.memories USING btree (tenant, created_at, id) WHERE ((deleted_at IS NULL) AND (superseded_by IS NULL));

CREATE UNIQUE INDEX memories_by_external_id ON public.memories USING btree (tenant, external_id) WHERE (external_id IS NOT NULL);

CREATE INDEX memories_by_importance ON public.memories USING btree (tenant, importance, id) WHERE ((deleted_at IS NULL) AND (superseded_by IS NULL));

CREATE INDEX memories_by_occurred ON public.memories USING btree (tenant, COALESCE(occurred_at, created_at), id) WHERE ((deleted_at IS NULL) AND (superseded_by IS NULL));

CREATE INDEX memories_by_session ON public.memories USING btree (tenant, session_id, public.turn_sequence(sequence), COALESCE(occurred_at, created_at), id) WHERE ((deleted_at IS NULL) AND (superseded_by IS NULL) AND (session_id IS NOT NULL));

CREATE INDEX memories_by_terms_and_words ON public.memories USING gin (term_hashes, public.memory_words(role, content)) WHERE ((deleted_at IS NULL) AND (superseded_by IS NULL));
ALTER INDEX public.memories_by_terms_and_words ALTER COLUMN 2 SET STATISTICS 0;

CREATE INDEX memories_by_updated ON public.memories USING btree (tenant, updated_at, id) WHERE ((deleted_at IS NULL) AND (superseded_by IS NULL));

CREATE INDEX memories_by_user ON public.memories USING btree (tenant, user_id, created_at, id) WHERE ((deleted_at IS NULL) AND (superseded_by IS NULL) AND (user_id IS NOT NULL));

CREATE INDEX memories_to_expire ON public.memories USING btree (expires_at) WHERE ((deleted_at IS NULL) AND (expires_at IS NOT NULL));

CREATE INDEX memories_to_purge ON public.memories USING btree (deleted_at) WHERE (deleted_at IS NOT NULL);

CREATE INDEX procrastinate_events_job_id_fkey_v1 ON public.procrastinate_events USING btree (job_id);

CREATE INDEX procrastinate_jobs_id_lock_idx_v1 ON public.procrastinate_jobs USING btree (id, lock) WHERE (status = ANY (ARRAY['todo'::public.procrastinate_job_status, 'doing'::public.procrastinate_job_status]));

CREATE UNIQUE INDEX procrastinate_jobs_lock_idx_v1 ON public.procrastinate_jobs USING btree (lock) WHERE (status = 'doing'::public.procrastinate_job_status);

CREATE INDEX procrastinate_jobs_priority_idx_v1 ON public.procrastinate_jobs USING btree (priority DESC, id) WHERE (status = 'todo'::public.procrastinate_job_status);

CREATE INDEX procrastinate_jobs_queue_name_idx_v1 ON public.procrastinate_jobs USING btree (queue_name);

CREATE UNIQUE INDEX procrastinate_jobs_queueing_lock_idx_v1 ON public.procrastinate_jobs USING btree (queueing_lock) WHERE (status = 'todo'::public.procrastinate_job_status);

CREATE INDEX procrastinate_periodic_defers_job_id_fkey_v1 ON public.procrastinate_periodic_defers USING btree (job_id);

CREATE INDEX versions_by_created ON public.versions USING btree (tenant, created_at, memory_id);

CREATE INDEX versions_by_embedding ON public.versions USING btree (embedding_key);

CREATE TRIGGER procrastinate_jobs_notify_queue_job_aborted_v1 AFTER UPDATE OF abort_requested ON public.procrastinate_jobs FOR EACH ROW WHEN (((old.abort_requested = false) AND (new.abort_requested = true) AND (new.status = 'doing'::public.procrastinate_job_status))) EXECUTE FUNCTION public.procrastinate_notify_queue_abort_job_v1();

CREATE TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1 AFTER INSERT ON public.procrastinate_jobs FOR EACH ROW WHEN ((new.status = 'todo'::public.procrastinate_job_status)) EXECUTE FUNCTION public.procrastinate_notify_queue_job_inserted_v1();

CREATE TRIGGER procrastinate_trigger_abort_requested_events_v1 AFTER UPDATE OF abort_requested ON public.procrastinate_jobs FOR EACH ROW WHEN ((new.abort_requested = true)) EXECUTE FUNCTION public.procrastinate_trigger_abort_requested_events_procedure_v1();

CREATE TRIGGER procrastinate_trigger_delete_jobs_v1 BEFORE DELETE ON public.procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION public.procrastinate_unlink_periodic_defers_v1();

CREATE TRIGGER procrastinate_trigger_scheduled_events_v1 AFTER INSERT OR UPDATE ON public.procrastinate_jobs FOR EACH ROW WHEN (((new.scheduled_at IS NOT NULL) AND (new.status = 'todo'::public.procrastinate_job_status))) EXECUTE FUNCTION public.procrastinate_trigger_function_scheduled_events_v1();

CREATE TRIGGER procrastinate_trigger_status_events_insert_v1 AFTER INSERT ON public.procrastinate_jobs FOR EACH ROW WHEN ((new.status = 'todo'::public.procrastinate_job_status)) EXECUTE FUNCTION public.procrastinate_trigger_function_status_events_insert_v1();

CREATE TRIGGER procrastinate_trigger_status_events_update_v1 AFTER UPDATE OF status ON public.procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION public.procrastinate_trigger_function_status_events_update_v1();

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenants(id);

ALTER TABLE ONLY public.import_chunks
    ADD CONSTRAINT import_chunks_job_fkey FOREIGN KEY (job_id) REFERENCES public.job_reports(job_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.import_chunks
    ADD CONSTRAINT import_chunks_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenants(id);

ALTER TABLE ONLY public.job_reports
    ADD CONSTRAINT job_reports_job_fkey FOREIGN KEY (job_id) REFERENCES public.procrastinate_jobs(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.memories
    ADD CONSTRAINT memories_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenants(id);

ALTER TABLE ONLY public.procrastinate_events
    ADD CONSTRAINT procrastinate_events_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.procrastinate_jobs(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.procrastinate_jobs
    ADD CONSTRAINT procrastinate_jobs_worker_id_fkey FOREIGN KEY (worker_id) REFERENCES public.procrastinate_workers(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.procrastinate_periodic_defers
    ADD CONSTRAINT procrastinate_periodic_defers_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.procrastinate_jobs(id);

ALTER TABLE ONLY public.versions
    ADD CONSTRAINT versions_memory_fkey FOREIGN KEY (memory_id) REFERENCES public.memories(id) ON DELETE CASCADE;

ALTER TABLE public.api_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.changes ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.embeddings ENABLE ROW LEVEL SECURITY;

CREATE POLICY every ON public.api_keys TO mnemata_platform USING (true);

CREATE POLICY every ON public.changes TO mnemata_platform USING (true);

CREATE POLICY every ON public.embeddings TO mnemata_platform USING (true);

CREATE POLICY every ON public.idempotency_keys TO mnemata_platform USING (true);

CREATE POLICY every ON public.import_chunks TO mnemata_platform USING (true);

CREATE POLICY every ON public.job_reports TO mnemata_platform USING (true);

CREATE POLICY every ON public.memories TO mnemata_platform USING (true);

CREATE POLICY every ON public.poison_changes TO mnemata_platform USING (true);

CREATE POLICY every ON public.tenants TO mnemata_platform USING (true);

CREATE POLICY every ON public.versions TO mnemata_platform USING (true);

ALTER TABLE public.idempotency_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.import_chunks ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.job_reports ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.memories ENABLE ROW LEVEL SECURITY;

CREATE POLICY own ON public.changes TO mnemata_tenant USING ((tenant = current_setting('mnemata.tenant'::text)));

CREATE POLICY own ON public.embeddings TO mnemata_tenant USING ((tenant = current_setting('mnemata.tenant'::text)));

CREATE POLICY own ON public.idempotency_keys TO mnemata_tenant USING ((tenant = current_setting('mnemata.tenant'::text)));

CREATE POLICY own ON public.memories TO mnemata_tenant USING ((tenant = current_setting('mnemata.tenant'::text)));

CREATE POLICY own ON public.tenants TO mnemata_tenant USING ((id = current_setting('mnemata.tenant'::text)));

CREATE POLICY own ON public.versions TO mnemata_tenant USING ((tenant = current_setting('mnemata.tenant'::text)));

ALTER TABLE public.poison_changes ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.tenants ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.versions ENABLE ROW LEVEL SECURITY;

GRANT USAGE ON SCHEMA public TO mnemata_tenant;
GRANT USAGE ON SCHEMA public TO mnemata_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.procrastinate_jobs TO mnemata_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.api_keys TO mnemata_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.cache_doubts TO mnemata_platform;

GRANT SELECT,INSERT ON TABLE public.changes TO mnemata_tenant;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.changes TO mnemata_platform;

GRANT SELECT,INSERT ON TABLE public.embeddings TO mnemata_tenant;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.embeddings TO mnemata_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.feed_epoch TO mnemata_platform;

GRANT SELECT,INSERT,UPDATE ON TABLE public.idempotency_keys TO mnemata_tenant;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.idempotency_keys TO mnemata_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.import_chunks TO mnemata_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.index_positions TO mnemata_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.index_reached TO mnemata_platform;

GRANT USAGE ON SEQUENCE public.index_tickets TO mnemata_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.job_reports TO mnemata_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.leases TO mnemata_platform;

GRANT SELECT,INSERT,UPDATE ON TABLE public.memories TO mnemata_tenant;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.memories TO mnemata_platform;

GRANT SELECT ON TABLE public.own_memories TO mnemata_tenant;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.poison_changes TO mnemata_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.procrastinate_events TO mnemata_platform;

GRANT USAGE ON SEQUENCE public.procrastinate_events_id_seq TO mnemata_platform;

GRANT USAGE ON SEQUENCE public.procrastinate_jobs_id_seq TO mnemata_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.procrastinate_periodic_defers TO mnemata_platform;

GRANT USAGE ON SEQUENCE public.procrastinate_periodic_defers_id_seq TO mnemata_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.procrastinate_workers TO mnemata_platform;

GRANT USAGE ON SEQUENCE public.procrastinate_workers_id_seq TO mnemata_platform;

GRANT SELECT ON TABLE public.tenants TO mnemata_tenant;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.tenants TO mnemata_platform;

GRANT SELECT,INSERT,UPDATE ON TABLE public.versions TO mnemata_tenant;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.versions TO mnemata_platform;
