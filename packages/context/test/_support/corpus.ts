/** One model that uses every feature of the format: shards, overlays, standalone files, what is skipped. */

const ROOT = 'semantic-layer/shop';

export const corpus: Readonly<Record<string, string>> = {
  'ktx.yaml': 'connections:\n  shop: {driver: postgres, url: "env:URL"}\n',
  [`${ROOT}/_schema/sales.yaml`]: `
tables:
  customers:
    table: sales.customers
    descriptions: {db: "from the database", ai: "written by a model"}
    columns:
      - {name: id, type: BIGINT, pk: true, nullable: false}
      - {name: name, type: "character varying(80)", descriptions: {dbt: "Full name"}}
      - {name: born, type: date}
      - {name: since, type: "timestamp(6) with time zone"}
      - {name: vip, type: bool}
      - name: tier
        type: text
        enum_values: {dbt: [gold, silver]}
        constraints: {dbt: {not_null: true}}
        tests: {dbt: [{name: not_null, package: dbt}], dbt_by_package: {elementary: [anything]}}
  orders:
    table: sales.orders
    description: An older way to describe
    db_description: And one more
    usage: {queries: 12}
    columns:
      - {name: id, type: integer, pk: true}
      - {name: line, type: int4, pk: true}
      - {name: customer_id, type: bigint, description: Who bought}
      - {name: amount, type: "NUMERIC (12, 2)"}
      - {name: ordered_on, type: timestamptz}
    joins:
      - {to: customers, on: customer_id = customers.id, relationship: many_to_one, source: formal}
      - {to: customers, on: "customer_id  =  customers.id AND customers.vip", relationship: many_to_one, source: inferred}
    default_time_dimension: {dbt: ordered_on}
    tags: {dbt: [finance, daily]}
    freshness: {dbt: {raw: {warn_after: 1}, loaded_at_field: ordered_on}}
`,
  [`${ROOT}/_schema/web.yaml`]: `
tables:
  visits:
    table: web.visits
    columns:
      - {name: page, type: text}
      - {name: at, type: timestamp}
`,
  [`${ROOT}/customers.yaml`]: `
name: customers
descriptions: {user: "What people say"}
exclude_columns: [vip]
column_overrides:
  - {name: name, visibility: hidden, descriptions: {user: Name on the invoice}}
  - {name: tier, constraints: {user: {unique: true}}}
columns:
  - {name: adult, type: boolean, expr: "born < DATE '2007-01-01'", descriptions: {ai: Of age}}
measures:
  - {name: customer_count, expr: count(id)}
segments:
  - {name: golden, expr: tier = 'gold'}
tags: {user: [core]}
`,
  [`${ROOT}/deep/er/orders.yaml`]: `
name: orders
source_type: dbt
inherits_columns_from: orders
usage: {x: 1}
grain: [id, line]
disable_joins: ["customer_id = customers.id AND   customers.vip"]
joins:
  - {to: customers, on: "customer_id =  customers.id", relationship: many_to_one}
  - {to: regions, on: region_id = regions.id, relationship: many_to_one, alias: sold_in}
measures:
  - {name: revenue, expr: sum(amount), filter: amount > 0, segments: [big], description: Net}
segments:
  - {name: big, expr: amount > 100}
`,
  [`${ROOT}/regions.yaml`]: `
name: regions
sql: |
  SELECT id, label FROM geo.regions
grain: [id]
columns:
  - &id {name: id, type: number}
  - <<: *id
    name: label
    type: string
    descriptions: {other: From elsewhere}
joins:
  - on: id = orders.region_id
    to: orders
    relationship: one_to_many
`,
  [`${ROOT}/a-b/budget.yaml`]: `
name: budget
description: Planned revenue
descriptions: {user: Never shown}
table: finance.budget
grain: [year]
columns:
  - {name: year, type: number, natural_granularity: year, data_type: int2, visibility: internal}
freshness: {}
usage: {gone: true}
`,
  [`${ROOT}/notes.yaml`]: 'just: notes\n',
  [`${ROOT}/list.yaml`]: '- 1\n- 2\n',
  [`${ROOT}/empty.yaml`]: '',
  [`${ROOT}/skipped.yml`]: 'name: skipped\ntable: t\ngrain: [x]\ncolumns: []\n',
  [`${ROOT}/readme.md`]: '# not yaml\n',
};
