-- Accounts, sessions and tokens, failed logins and the audit. The tables exist whether `auth.mode` uses them or not.
--
-- A change that ends a credential, or changes what it permits, announces the credential's key, so that every instance forgets it. No privilege can
-- forbid that: NOTIFY is a statement, not a function. Every name is qualified, because the functions run with the search path of whichever program
-- changes the tables.

CREATE TABLE attendance_api.accounts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username text COLLATE "C" NOT NULL UNIQUE,
    password_hash text NOT NULL,
    role text NOT NULL CHECK (role IN ('employee', 'reader', 'writer', 'manager', 'admin')),
    employee text CHECK (employee <> ''),
    disabled boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_login timestamptz,
    -- Only an erasure leaves such an account without an employee, and disables it.
    CHECK (role <> 'employee' OR employee IS NOT NULL OR disabled)
);
CREATE INDEX accounts_employee ON attendance_api.accounts (employee) WHERE employee IS NOT NULL;

-- `key` is the SHA-256 of the credential in hexadecimal digits. The credential itself is stored nowhere.
CREATE TABLE attendance_api.sessions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text COLLATE "C" NOT NULL UNIQUE CHECK (length(key) = 64),
    account bigint NOT NULL REFERENCES attendance_api.accounts ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    address text NOT NULL,
    user_agent text
);
CREATE INDEX sessions_account ON attendance_api.sessions (account, id);
CREATE INDEX sessions_expires_at ON attendance_api.sessions (expires_at);

CREATE TABLE attendance_api.tokens (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text COLLATE "C" NOT NULL UNIQUE CHECK (length(key) = 64),
    account bigint NOT NULL REFERENCES attendance_api.accounts ON DELETE CASCADE,
    name text NOT NULL,
    role text NOT NULL CHECK (role IN ('employee', 'reader', 'writer', 'manager', 'admin', 'metrics')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    last_used timestamptz,
    -- The token with which it was made, and with which it ends. The depth is bounded, because a deletion goes down level by level.
    parent bigint REFERENCES attendance_api.tokens ON DELETE CASCADE,
    depth smallint NOT NULL DEFAULT 0 CHECK (depth BETWEEN 0 AND 8)
);
CREATE INDEX tokens_account ON attendance_api.tokens (account, id);
CREATE INDEX tokens_parent ON attendance_api.tokens (parent) WHERE parent IS NOT NULL;

-- Failed logins by subject and network. A positive subject is the number of an account, a negative one stands for many names without an
-- account, 0 for all names. The network is the client's (IPv4 /32, IPv6 /64), or '*' for all clients that have never logged in to the account.
CREATE TABLE attendance_api.login_failures (
    subject bigint NOT NULL,
    network text COLLATE "C" NOT NULL,
    failures integer NOT NULL,
    last_failure timestamptz NOT NULL,
    -- Logins are refused until then.
    blocked_until timestamptz,
    PRIMARY KEY (subject, network)
);
CREATE INDEX login_failures_last_failure ON attendance_api.login_failures (last_failure);

-- The networks from which an account has logged in.
CREATE TABLE attendance_api.login_networks (
    account bigint NOT NULL REFERENCES attendance_api.accounts ON DELETE CASCADE,
    network text COLLATE "C" NOT NULL,
    last_login timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account, network)
);

-- The key of the signatures by which an instance recognises what another has stored in Redis. At most one row.
CREATE TABLE attendance_api.access_key (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    key bytea NOT NULL CHECK (length(key) = 32)
);

-- `actor` and `account` are numbers of accounts, which may have been removed.
CREATE TABLE attendance_api.audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    action text NOT NULL,
    actor bigint,
    account bigint,
    address text,
    details jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(details) = 'object')
);
CREATE INDEX audit_at ON attendance_api.audit (at);
CREATE INDEX audit_actor ON attendance_api.audit (actor, id);
CREATE INDEX audit_action ON attendance_api.audit (action, id);
-- For erasures.
CREATE INDEX audit_employee ON attendance_api.audit (id) WHERE details ? 'employee_id';
CREATE INDEX audit_token_name ON attendance_api.audit (account) WHERE details ? 'name';

CREATE FUNCTION attendance_api.announce_credential() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE pg_catalog.format('NOTIFY attendance_api_access, %L', OLD.key);
    RETURN NULL;
END $$;

CREATE FUNCTION attendance_api.announce_account() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    credential text;
BEGIN
    FOR credential IN
        SELECT sessions.key FROM attendance_api.sessions WHERE sessions.account OPERATOR(pg_catalog.=) OLD.id
        UNION ALL SELECT tokens.key FROM attendance_api.tokens WHERE tokens.account OPERATOR(pg_catalog.=) OLD.id
    LOOP
        EXECUTE pg_catalog.format('NOTIFY attendance_api_access, %L', credential);
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION attendance_api.announce_truncation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY attendance_api_access, '*';
    RETURN NULL;
END $$;

-- What every role may do to the entries of the audit besides adding some: put `{"erased": true}` in the place of an employee or of the name of a
-- token, and delete what is older than 30 days. `redact_audit` and `remove_audit` do that for the role of the requests, which may neither update
-- nor delete.
CREATE FUNCTION attendance_api.guard_audit() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mark CONSTANT jsonb := '{"erased": true}';
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.at < clock_timestamp() - interval '30 days' THEN
            RETURN OLD;
        END IF;
    ELSIF TG_OP = 'UPDATE' THEN
        IF (NEW.id, NEW.at, NEW.action, NEW.actor, NEW.account, NEW.address)
                IS NOT DISTINCT FROM (OLD.id, OLD.at, OLD.action, OLD.actor, OLD.account, OLD.address)
            AND NEW.details IN (jsonb_set(OLD.details, '{employee_id}', mark, false), jsonb_set(OLD.details, '{employee_id,before}', mark, false),
                jsonb_set(OLD.details, '{employee_id,after}', mark, false), jsonb_set(OLD.details, '{name}', mark, false)) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'entries of the audit cannot be changed or deleted' USING ERRCODE = 'insufficient_privilege';
END $$;

-- Removes from the audit who an employee is: its id, and the names of the tokens of its accounts.
CREATE FUNCTION attendance_api.redact_audit(person text, person_accounts bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mark CONSTANT jsonb := '{"erased": true}';
    employee CONSTANT jsonb := to_jsonb(person);
BEGIN
    UPDATE attendance_api.audit SET details = jsonb_set(details, '{employee_id}', mark)
        WHERE details ? 'employee_id' AND details -> 'employee_id' = employee;
    UPDATE attendance_api.audit SET details = jsonb_set(details, '{employee_id,before}', mark)
        WHERE details ? 'employee_id' AND details #> '{employee_id,before}' = employee;
    UPDATE attendance_api.audit SET details = jsonb_set(details, '{employee_id,after}', mark)
        WHERE details ? 'employee_id' AND details #> '{employee_id,after}' = employee;
    UPDATE attendance_api.audit SET details = jsonb_set(details, '{name}', mark)
        WHERE details ? 'name' AND account = ANY (person_accounts);
END $$;

-- Deletes at most so many entries of the audit that are older than so many seconds; returns how many. The newest entry about settings stays, so that
-- a start can tell whether they have changed.
CREATE FUNCTION attendance_api.remove_audit(older_than double precision, at_most bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    removed bigint;
BEGIN
    DELETE FROM attendance_api.audit WHERE audit.id IN (SELECT old.id FROM attendance_api.audit AS old
        WHERE old.at < clock_timestamp() - greatest(make_interval(secs => older_than), interval '30 days')
            AND old.id IS DISTINCT FROM (SELECT max(newest.id) FROM attendance_api.audit AS newest WHERE newest.action = 'settings_changed')
        ORDER BY old.at LIMIT at_most FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END $$;
REVOKE EXECUTE ON FUNCTION attendance_api.redact_audit(text, bigint[]), attendance_api.remove_audit(double precision, bigint) FROM PUBLIC;

-- Takes a person out of the accounts and the audit. An account that is linked to the employee is unlinked, disabled, and loses its sessions, tokens
-- and networks; the last admin that can log in is unlinked only. Returns how many accounts were linked, and the keys of their credentials.
CREATE FUNCTION attendance_api.erase_accounts(person text, by_account bigint, from_address text, OUT linked bigint, OUT credentials text[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    persons bigint[];
    spared bigint;
BEGIN
    IF EXISTS (SELECT FROM attendance_api.accounts WHERE employee = person) THEN
        -- In the order in which every change of an account locks them.
        PERFORM FROM attendance_api.accounts WHERE role = 'admin' AND NOT disabled ORDER BY accounts.id FOR UPDATE;
        PERFORM FROM attendance_api.accounts WHERE employee = person ORDER BY accounts.id FOR UPDATE;
    END IF;
    persons := ARRAY(SELECT accounts.id FROM attendance_api.accounts WHERE employee = person ORDER BY accounts.id);
    linked := cardinality(persons);
    credentials := ARRAY(SELECT sessions.key FROM attendance_api.sessions WHERE sessions.account = ANY (persons)
        UNION ALL SELECT tokens.key FROM attendance_api.tokens WHERE tokens.account = ANY (persons));
    IF NOT EXISTS (SELECT FROM attendance_api.accounts WHERE role = 'admin' AND NOT disabled AND accounts.id <> ALL (persons)) THEN
        spared := (SELECT min(accounts.id) FROM attendance_api.accounts WHERE role = 'admin' AND NOT disabled AND accounts.id = ANY (persons));
    END IF;
    IF by_account IS NOT NULL THEN
        INSERT INTO attendance_api.audit (action, actor, address) VALUES ('person_erased', by_account, from_address);
    END IF;
    INSERT INTO attendance_api.audit (action, actor, account, address, details)
        SELECT 'account_changed', by_account, one, from_address, '{"employee_id": {"before": {"erased": true}, "after": null}}' FROM unnest(persons) AS one;
    INSERT INTO attendance_api.audit (action, actor, account, address)
        SELECT 'account_disabled', by_account, accounts.id, from_address FROM attendance_api.accounts
        WHERE accounts.id = ANY (persons) AND NOT disabled AND accounts.id IS DISTINCT FROM spared ORDER BY accounts.id;
    DELETE FROM attendance_api.sessions WHERE sessions.account = ANY (persons) AND sessions.account IS DISTINCT FROM spared;
    DELETE FROM attendance_api.tokens WHERE tokens.account = ANY (persons) AND tokens.account IS DISTINCT FROM spared;
    DELETE FROM attendance_api.login_networks WHERE login_networks.account = ANY (persons) AND login_networks.account IS DISTINCT FROM spared;
    UPDATE attendance_api.accounts SET employee = NULL, disabled = disabled OR accounts.id IS DISTINCT FROM spared WHERE accounts.id = ANY (persons);
    PERFORM attendance_api.redact_audit(person, persons);
END $$;

CREATE TRIGGER attendance_api_announce_delete AFTER DELETE ON attendance_api.sessions
    FOR EACH ROW EXECUTE FUNCTION attendance_api.announce_credential();
CREATE TRIGGER attendance_api_announce_update AFTER UPDATE OF key, account, created_at, expires_at ON attendance_api.sessions
    FOR EACH ROW EXECUTE FUNCTION attendance_api.announce_credential();
CREATE TRIGGER attendance_api_announce_truncate AFTER TRUNCATE ON attendance_api.sessions
    FOR EACH STATEMENT EXECUTE FUNCTION attendance_api.announce_truncation();
CREATE TRIGGER attendance_api_announce_delete AFTER DELETE ON attendance_api.tokens
    FOR EACH ROW EXECUTE FUNCTION attendance_api.announce_credential();
CREATE TRIGGER attendance_api_announce_update AFTER UPDATE OF key, account, role, expires_at ON attendance_api.tokens
    FOR EACH ROW EXECUTE FUNCTION attendance_api.announce_credential();
CREATE TRIGGER attendance_api_announce_truncate AFTER TRUNCATE ON attendance_api.tokens
    FOR EACH STATEMENT EXECUTE FUNCTION attendance_api.announce_truncation();
-- The deletion of an account deletes its sessions and tokens, which announce themselves.
CREATE TRIGGER attendance_api_announce_update AFTER UPDATE OF id, username, role, employee, disabled ON attendance_api.accounts
    FOR EACH ROW EXECUTE FUNCTION attendance_api.announce_account();
CREATE TRIGGER attendance_api_append_only BEFORE UPDATE OR DELETE ON attendance_api.audit
    FOR EACH ROW EXECUTE FUNCTION attendance_api.guard_audit();
CREATE TRIGGER attendance_api_append_only_truncate BEFORE TRUNCATE ON attendance_api.audit
    FOR EACH STATEMENT EXECUTE FUNCTION attendance_api.guard_audit();

-- Also while `session_replication_role` is `replica`.
ALTER TABLE attendance_api.sessions ENABLE ALWAYS TRIGGER attendance_api_announce_delete;
ALTER TABLE attendance_api.sessions ENABLE ALWAYS TRIGGER attendance_api_announce_update;
ALTER TABLE attendance_api.sessions ENABLE ALWAYS TRIGGER attendance_api_announce_truncate;
ALTER TABLE attendance_api.tokens ENABLE ALWAYS TRIGGER attendance_api_announce_delete;
ALTER TABLE attendance_api.tokens ENABLE ALWAYS TRIGGER attendance_api_announce_update;
ALTER TABLE attendance_api.tokens ENABLE ALWAYS TRIGGER attendance_api_announce_truncate;
ALTER TABLE attendance_api.accounts ENABLE ALWAYS TRIGGER attendance_api_announce_update;
ALTER TABLE attendance_api.audit ENABLE ALWAYS TRIGGER attendance_api_append_only;
ALTER TABLE attendance_api.audit ENABLE ALWAYS TRIGGER attendance_api_append_only_truncate;
