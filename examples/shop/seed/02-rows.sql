-- The same rows on every machine: all of them follow from their number.

INSERT INTO customers (name, email, address, since, note)
SELECT
    (ARRAY['Ada', 'Björn', 'Chloé', 'Đorđe', 'Eun-ji', 'Фёдор', '光', 'Zoë'])[1 + n % 8] || ' ' || initcap(substr(md5('name' || n), 1, 8)),
    'customer' || n || '@example.com',
    jsonb_build_object('street', md5('street' || n), 'number', n % 200, 'floor', CASE WHEN n % 5 = 0 THEN n % 7 END),
    '2019-01-01 00:00:00+00'::timestamptz + n * interval '97 minutes 13.000007 seconds',
    CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN E'two\nlines\twith \\N and ''quotes''' ELSE repeat(md5('note' || n), 3) END
FROM generate_series(1, 2000) n;

INSERT INTO products (sku, title, price, tags, picture)
SELECT
    'P' || lpad(n::text, 5, '0'),
    'Product ' || md5('title' || n),
    1 + (n * 7919 % 10000) / 100.0,
    ARRAY['tag' || n % 10, 'tag, with "quotes"'],
    decode((SELECT string_agg(md5(n || ':' || i), '') FROM generate_series(1, 32) i), 'hex')
FROM generate_series(1, 500) n;

INSERT INTO orders (customer, state, placed)
SELECT
    1 + n * 7 % 2000,
    (enum_range(NULL::order_state))[1 + n % 4],
    '2020-01-01 00:00:00+00'::timestamptz + n * interval '11 minutes'
FROM generate_series(1, 6000) n;

INSERT INTO order_lines (order_id, line, sku, quantity, price)
SELECT n, line, 'P' || lpad((1 + (n * 31 + line * 17) % 500)::text, 5, '0'), 1 + (n + line) % 5, 1 + (n * line * 104729 % 9000) / 100.0
FROM generate_series(1, 6000) n, generate_series(1, 1 + n % 3) line;
