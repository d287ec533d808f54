-- name: make_roles
-- Makes the roles that the dump grants rights to, where they are missing: roles belong to the server, so that no dump
-- carries them. A login that may not make them gets by when they are there and it is a member.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['mnemata_tenant', 'mnemata_platform'] LOOP
        IF to_regrole(wanted) IS NULL THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
        IF NOT pg_has_role(current_user, wanted, 'MEMBER') THEN
            EXECUTE format('GRANT %I TO %I', wanted, current_user);
        END IF;
    END LOOP;
END $$

-- name: settle
-- Looks for tables where they are, and heeds their policies again: the script of a dump turns both off.
SELECT set_config('search_path', 'public', false), set_config('row_security', 'on', false)

-- name: act_for_platform
-- Takes the role that sees every row for the rest of the transaction.
SET LOCAL ROLE mnemata_platform

-- name: give_view
-- Gives the view its owner again: a restore makes the login the owner of everything.
DO $$
BEGIN
    IF to_regclass('public.own_memories') IS NOT NULL THEN
        GRANT CREATE ON SCHEMA public TO mnemata_platform;
        ALTER VIEW public.own_memories OWNER TO mnemata_platform;
        REVOKE CREATE ON SCHEMA public FROM mnemata_platform;
    END IF;
END $$

-- name: forget_reports
-- Forgets what indexes reported elsewhere: they are built anew here.
DELETE FROM public.index_positions

-- name: forget_poison
-- Forgets the changes that indexes could not apply elsewhere.
DELETE FROM public.poison_changes

-- name: occupied
-- Counts what is in the database beyond a new one.
SELECT count(*)
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
