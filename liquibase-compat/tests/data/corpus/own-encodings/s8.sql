insert into t values ('8€');
