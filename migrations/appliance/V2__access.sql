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
    employee text,
    disabled boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_login timestamptz,
    CHECK (role <> 'employee' OR employee IS NOT NULL)
);

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
    last_used timestamptz
);
CREATE INDEX tokens_account ON attendance_api.tokens (account, id);

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
    details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_at ON attendance_api.audit (at);
CREATE INDEX audit_actor ON attendance_api.audit (actor, id);
CREATE INDEX audit_action ON attendance_api.audit (action, id);

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

CREATE FUNCTION attendance_api.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'entries of the audit cannot be changed or deleted' USING ERRCODE = 'insufficient_privilege';
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
CREATE TRIGGER attendance_api_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON attendance_api.audit
    FOR EACH STATEMENT EXECUTE FUNCTION attendance_api.refuse_change();

-- Also while `session_replication_role` is `replica`.
ALTER TABLE attendance_api.sessions ENABLE ALWAYS TRIGGER attendance_api_announce_delete;
ALTER TABLE attendance_api.sessions ENABLE ALWAYS TRIGGER attendance_api_announce_update;
ALTER TABLE attendance_api.sessions ENABLE ALWAYS TRIGGER attendance_api_announce_truncate;
ALTER TABLE attendance_api.tokens ENABLE ALWAYS TRIGGER attendance_api_announce_delete;
ALTER TABLE attendance_api.tokens ENABLE ALWAYS TRIGGER attendance_api_announce_update;
ALTER TABLE attendance_api.tokens ENABLE ALWAYS TRIGGER attendance_api_announce_truncate;
ALTER TABLE attendance_api.accounts ENABLE ALWAYS TRIGGER attendance_api_announce_update;
ALTER TABLE attendance_api.audit ENABLE ALWAYS TRIGGER attendance_api_append_only;
