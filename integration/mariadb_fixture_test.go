package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mariaPassword has all that a shell, an option file or SQL could trip over.
const mariaPassword = `it's "$HOME" \ #x`

// mariaProject is a database of which nobody knows more than the labels say,
// filled by an init script, and an app that depends on it.
const mariaProject = `
services:
  db:
    image: ${MARIADB_IMAGE}
    # Nothing is to outlive a power cut here.
    command: ["mariadbd", "--innodb-flush-method=nosync", "--debug-no-sync", "--innodb-flush-log-at-trx-commit=0"]
    environment:
      MARIADB_ROOT_PASSWORD_FILE: /run/secrets/root
    volumes:
      - db:/var/lib/mysql
      - ./shim:/usr/local/sbin
      - ./root:/run/secrets/root:ro
      - ./init:/docker-entrypoint-initdb.d:ro
    healthcheck:
      test: ["CMD", "/usr/bin/mariadb-admin", "--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--silent", "ping"]
      interval: 1s
      timeout: 5s
      retries: 60
    labels:
      ripplebak.dump: mariadb-dump
  app:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    depends_on: [db]
volumes:
  db:
`

// mariaShop is a database that has everything which a restore by renames could
// lose, another that names it, and users.
const mariaShop = `
SET NAMES utf8mb4;
CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
CREATE DATABASE ` + "`naïve ☃`" + `;
USE shop;
CREATE TABLE accounts (id INT PRIMARY KEY, balance BIGINT NOT NULL);
INSERT INTO accounts SELECT seq, 100 FROM seq_1_to_5000;
CREATE TABLE transfers (n INT AUTO_INCREMENT PRIMARY KEY, src INT NOT NULL, dst INT NOT NULL, amount BIGINT NOT NULL,
	FOREIGN KEY (src) REFERENCES accounts (id), FOREIGN KEY (dst) REFERENCES accounts (id)) AUTO_INCREMENT = 1000;
CREATE TABLE log (at INT AUTO_INCREMENT PRIMARY KEY, what TEXT) AUTO_INCREMENT = 5000000;
CREATE TABLE blobs (id INT PRIMARY KEY, b LONGBLOB, t TEXT);
INSERT INTO blobs VALUES (1, x'00ff5c270a0d1a', 'it''s \\ "x"\n-- Dump completed\n\\! id 🎉'), (2, REPEAT(x'00ff', 1000000), NULL);
CREATE TABLE ` + "`ключ``☃`" + ` (` + "`ä`" + ` INT PRIMARY KEY);
INSERT INTO ` + "`ключ``☃`" + ` VALUES (7);
CREATE SEQUENCE numbers START WITH 50;
CREATE TABLE numbered (id INT DEFAULT NEXTVAL(numbers), v INT);
INSERT INTO numbered (v) VALUES (1), (2);
CREATE VIEW rich AS SELECT id FROM accounts WHERE balance > 100;
CREATE VIEW richest AS SELECT MAX(id) AS id FROM rich;
CREATE VIEW ` + "`naïve ☃`" + `.poor AS SELECT COUNT(*) AS n FROM shop.accounts WHERE balance < 100;
CREATE TABLE ` + "`naïve ☃`" + `.t AS SELECT 42 AS x;
CREATE TABLE old_engine (x INT) ENGINE=MyISAM;
DELIMITER ;;
CREATE TRIGGER logs BEFORE INSERT ON blobs FOR EACH ROW BEGIN INSERT INTO log (what) VALUES ('don''t; ;;'); END;;
CREATE TRIGGER shop.qualified AFTER DELETE ON shop.blobs FOR EACH ROW INSERT INTO log (what) VALUES ('gone');;
CREATE PROCEDURE transfer_for_ever()
BEGIN
	DECLARE a, b, n INT;
	SET autocommit = 0;
	LOOP
		SET a = 1 + FLOOR(RAND() * 5000), b = 1 + FLOOR(RAND() * 5000), n = 1 + FLOOR(RAND() * 50);
		IF a <> b THEN
			UPDATE accounts SET balance = balance + IF(id = a, -n, n) WHERE id IN (a, b);
			INSERT INTO transfers (src, dst, amount) VALUES (a, b, n);
			COMMIT;
		END IF;
	END LOOP;
END;;
CREATE FUNCTION twice(x INT) RETURNS INT DETERMINISTIC RETURN x * 2;;
CREATE EVENT yearly ON SCHEDULE EVERY 1 YEAR STARTS '2001-01-01 00:00:00' DO INSERT INTO log (what) VALUES ('a year');;
DELIMITER ;
CREATE USER clerk@'%' IDENTIFIED BY 'clerk-password';
CREATE ROLE staff;
GRANT SELECT ON shop.* TO staff;
GRANT staff TO clerk@'%';
SET DEFAULT ROLE staff FOR clerk@'%';
GRANT EXECUTE ON PROCEDURE shop.transfer_for_ever TO clerk@'%';
GRANT SELECT (id) ON shop.blobs TO clerk@'%';
`

// mariaBelongings is what the server says of all that.
const mariaBelongings = `
CHECKSUM TABLE shop.blobs, shop.` + "`ключ``☃`, shop.numbered, `naïve ☃`" + `.t;
SELECT TRIGGER_NAME, ACTION_TIMING, EVENT_OBJECT_TABLE, ACTION_STATEMENT, SQL_MODE, DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'shop' ORDER BY 1;
SELECT ROUTINE_NAME, ROUTINE_TYPE, MD5(ROUTINE_DEFINITION), SQL_MODE, DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'shop' ORDER BY 1;
SELECT EVENT_NAME, STATUS, EVENT_DEFINITION, STARTS, TIME_ZONE FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'shop';
SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION, DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA NOT IN ('sys', 'mysql') ORDER BY 1, 2;
SELECT CONSTRAINT_NAME, TABLE_NAME, REFERENCED_TABLE_NAME, UNIQUE_CONSTRAINT_SCHEMA FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = 'shop' ORDER BY 1;
SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = 'log';
SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'shop';
SHOW GRANTS FOR clerk@'%'; SHOW GRANTS FOR staff;
SELECT * FROM shop.richest; SELECT * FROM ` + "`naïve ☃`" + `.poor; SELECT shop.twice(21);`

// mariaBalanced is "5000 500000 0" when no transfer is half there.
const mariaBalanced = `SELECT COUNT(*), SUM(balance), SUM(balance <> 100 + COALESCE(moved, 0)) FROM accounts LEFT JOIN
	(SELECT id, SUM(x) AS moved FROM (SELECT src AS id, -amount AS x FROM transfers UNION ALL SELECT dst, amount FROM transfers) m GROUP BY id) t USING (id)`

// newMaria is the project, its database filled by its first start.
func newMaria(t testing.TB) *dumpFault {
	t.Helper()
	p := newProject(t, mariaProject).withRepository()
	if p.env["MARIADB_IMAGE"] = os.Getenv("INTEGRATION_MARIADB_IMAGE"); p.env["MARIADB_IMAGE"] == "" {
		t.Fatal("INTEGRATION_MARIADB_IMAGE is not set: run the tests by \"make integration\"")
	}
	p.write("shim/.keep", "")
	p.write("root", mariaPassword+"\n")
	p.write("init/shop.sql", mariaShop)
	p.up("db", "app")
	return &dumpFault{project: p}
}

// maria asks the server as root.
func (p *project) maria(database, query string) string {
	p.t.Helper()
	r := command(p.t, p.dir, p.environ(), query, "docker", "compose", "exec", "-T", "-e", "MYSQL_PWD="+mariaPassword, "db",
		"/usr/bin/mariadb", "--no-defaults", "--user=root", "--default-character-set=utf8mb4", "--batch", "--skip-column-names", "--database="+database)
	if r.code != 0 {
		p.t.Fatalf("mariadb %s: %s", query, r)
	}
	return strings.TrimSpace(strings.ReplaceAll(r.stdout, "\t", " "))
}

func (p *project) wantMaria(database, query, want string) {
	p.t.Helper()
	if got := p.maria(database, query); got != want {
		p.t.Errorf("%s: %s\n  gives\n%s\n  want\n%s", database, query, got, want)
	}
}

// noMariaLeftovers asserts that nothing of an interrupted restore is there.
func (p *project) noMariaLeftovers() {
	p.t.Helper()
	p.wantMaria("mysql", `SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'ripplebak%'`, "")
}

// healMaria removes the shims.
func (p *project) healMaria() {
	p.t.Helper()
	for _, name := range []string{"mariadb", "mariadb-dump", "hits"} {
		if err := os.RemoveAll(filepath.Join(p.dir, "shim", name)); err != nil {
			p.t.Fatal(err)
		}
	}
}
