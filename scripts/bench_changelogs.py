"""The changelogs that bench_migrate.py measures, made by rule."""

HEAD = (
    '<databaseChangeLog xmlns="http://www.liquibase.org/xml/ns/dbchangelog" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://www.liquibase.org/xml/ns/dbchangelog http://www.liquibase.org/xml/ns/dbchangelog/dbchangelog-latest.xsd">\n'
)
TAIL = "</databaseChangeLog>\n"


def tables(count):
    """A changelog of `count` small tables."""
    table = (
        '<changeSet id="{0}" author="bench"><createTable tableName="t{0}"><column name="id" type="bigint"><constraints '
        'primaryKey="true"/></column><column name="name" type="varchar(100)"/></createTable></changeSet>\n'
    )
    return HEAD + "".join(table.format(number) for number in range(count)) + TAIL


class History:
    """A changelog that has grown for years: nearly every changeset has preconditions, and later ones change what earlier ones made."""

    def __init__(self):
        self.sets, self.tables = [], 0

    def add(self, changes, conditions="", comment=""):
        conditions = f'<preConditions onFail="MARK_RAN">{conditions}</preConditions>' if conditions else ""
        comment = f"<comment>{comment}</comment>" if comment else ""
        self.sets.append(f'<changeSet id="{len(self.sets)}" author="bench">{conditions}{comment}{changes}</changeSet>\n')

    def table(self):
        name = f"clinic_table_{self.tables}"
        self.tables += 1
        columns = (
            '<column name="id" type="int" autoIncrement="true"><constraints primaryKey="true" nullable="false"/></column>'
            '<column name="name" type="varchar(255)"><constraints nullable="false"/></column>'
            '<column name="description" type="text"/>'
            '<column name="creator" type="int" defaultValueNumeric="0"><constraints nullable="false"/></column>'
            '<column name="date_created" type="datetime"/>'
            '<column name="retired" type="boolean" defaultValueBoolean="false"><constraints nullable="false"/></column>'
            '<column name="retire_reason" type="varchar(255)"/>'
            '<column name="weight" type="double"/>'
            '<column name="uuid" type="char(38)"><constraints nullable="false" unique="true"/></column>'
        )
        self.add(
            f'<createTable tableName="{name}">{columns}</createTable>',
            f'<not><tableExists tableName="{name}"/></not>',
            f"Create {name}",
        )
        return name

    def change(self, table, number):
        """Seven changes of one table, of which six have preconditions."""
        link, column = f"clinic_table_{(self.tables - 1) // 2}", f"extra_{number}"
        self.add(
            f'<addColumn tableName="{table}"><column name="{column}" type="varchar(50)"/></addColumn>',
            f'<not><columnExists tableName="{table}" columnName="{column}"/></not>',
        )
        self.add(
            f'<addColumn tableName="{table}"><column name="link_{number}" type="int"/></addColumn>'
            f'<addForeignKeyConstraint constraintName="{table}_link_{number}" baseTableName="{table}" baseColumnNames="link_{number}" '
            f'referencedTableName="{link}" referencedColumnNames="id"/>',
            f'<not><foreignKeyConstraintExists foreignKeyTableName="{table}" foreignKeyName="{table}_link_{number}"/></not>',
        )
        self.add(
            f'<createIndex tableName="{table}" indexName="{table}_{column}"><column name="{column}"/></createIndex>',
            f'<not><indexExists tableName="{table}" indexName="{table}_{column}"/></not>',
        )
        self.add(
            f'<insert tableName="{table}"><column name="name" value="row {number}"/><column name="uuid" value="{table}-{number}"/></insert>',
            f"""<sqlCheck expectedResult="0">SELECT count(*) FROM {table} WHERE uuid = '{table}-{number}'</sqlCheck>""",
        )
        self.add(f"<sql>UPDATE {table} SET description = name WHERE description IS NULL</sql>", comment="Fill the description")
        self.add(
            f'<modifyDataType tableName="{table}" columnName="{column}" newDataType="varchar(255)"/>',
            f'<columnExists tableName="{table}" columnName="{column}"/>',
        )
        self.add(
            f'<addColumn tableName="{table}"><column name="id" type="int"/></addColumn>',
            f'<tableExists tableName="{table}"/><not><columnExists tableName="{table}" columnName="id"/></not>',
            "Already there",
        )


def history(count):
    """A changelog of `count` changesets of ten kinds: a table, then changes of it and of older ones."""
    made = History()
    while len(made.sets) < count:
        table = made.table()
        made.change(table, 0)
        if made.tables % 2:
            made.change(f"clinic_table_{made.tables // 2}", made.tables)
    return HEAD + "".join(made.sets[:count]) + TAIL
