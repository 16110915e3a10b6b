-- the view
SELECT id,
  name -- a name
FROM t;
