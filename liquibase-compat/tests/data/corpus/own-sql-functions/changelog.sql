-- liquibase formatted sql
-- changeset own:fn splitStatements:false
CREATE FUNCTION f(i int) RETURNS int AS $$
BEGIN
  IF i > 0 THEN
    RETURN 1;
  END IF;
  RETURN 0;
END;
$$ LANGUAGE plpgsql;
-- rollback DROP FUNCTION f(int);

-- changeset own:trigger endDelimiter:/
CREATE TABLE t (id int)
/
CREATE FUNCTION tr() RETURNS trigger AS $$ BEGIN NEW.id := 1; RETURN NEW; END $$ LANGUAGE plpgsql
/
CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tr()
/

-- changeset own:begin
CREATE FUNCTION g() RETURNS int AS 'BEGIN RETURN 2; END;' LANGUAGE plpgsql;
INSERT INTO t VALUES (f(1));
INSERT INTO t SELECT CASE WHEN true THEN 1 ELSE 2 END;

-- changeset own:tail
INSERT INTO t VALUES (9)
