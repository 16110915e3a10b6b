create table f as select {fn length('ab ')} as n, {fn locate('b', 'abc')} as l, {t '10:11:12'} as t, {fn timestampadd(SQL_TSI_DAY, 3, {ts '2020-01-02 00:00:00'})} as ta, j ?? 'a' as h from t;
