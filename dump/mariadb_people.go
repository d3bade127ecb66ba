package dump

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// The first and last line of a file of users and grants. The last one says that
// every query ran to its end.
const (
	peopleHead = "-- ripplebak: users and grants of a MariaDB or MySQL server, format 1"
	peopleEnd  = "-- ripplebak: users and grants complete"
)

// myPeople writes, as SQL, who there is and what is granted: the first query
// writes the statements that the second asks the server for.
const myPeople = myEnvironment + `queries=$(sql --raw --execute="$1") || exit $?
printf '%s\n' "$2"
answers=$(printf '%s\n' "$queries" | sql --raw --binary-mode) || exit $?
printf '%s\n' "$answers" | sed 's/$/;/'
printf '%s\n' "$3"
`

// peopleCommand asks for users and grants, or for the grants alone. The
// server's own users go with the server.
func peopleCommand(facts Facts, users bool, show string) Command {
	account := "CONCAT(QUOTE(User), '@', QUOTE(Host))"
	role := "0"
	if facts.Product == productMariaDB {
		role = "is_role = 'Y'"
	}
	who := "FROM mysql.user WHERE User NOT IN ('mariadb.sys', 'mysql.sys', 'mysql.session', 'mysql.infoschema', 'PUBLIC') AND NOT CONCAT(User, Host) REGEXP '[[:cntrl:]]'"
	var parts []string
	if users {
		parts = append(parts,
			"SELECT 1 AS part, User, Host, CONCAT('SELECT ''CREATE ROLE `', REPLACE(REPLACE(REPLACE(User, '`', '``'), '\\\\', '\\\\\\\\'), '''', ''''''), '`'';') AS q "+who+" AND "+role,
			"SELECT 2, User, Host, CONCAT('SHOW CREATE USER ', "+account+", ';') "+who+" AND NOT ("+role+")")
	}
	parts = append(parts, "SELECT 3, User, Host, CONCAT('SHOW GRANTS FOR ', IF("+role+", QUOTE(User), "+account+"), ';') "+who)
	query := "SELECT q FROM (" + strings.Join(parts, " UNION ALL ") + ") AS x ORDER BY part, User, Host"
	if !users {
		query = strings.Replace(query, "SELECT 3, User, Host, CONCAT(", "SELECT 3 AS part, User, Host, CONCAT(", 1)
		query = strings.Replace(query, "';') "+who, "';') AS q "+who, 1)
	}
	return Command{Argv: facts.my(myPeople, query, peopleHead, peopleEnd), Gate: true, Show: facts.shownClient() + " (" + show + ")"}
}

func (f Facts) shownClient() string {
	if f.Product == productMySQL {
		return "mysql"
	}
	return "mariadb"
}

// peopleStatement is a statement as it was written, and by its words.
type peopleStatement struct {
	raw    string
	tokens myTokenList
}

// peopleSink gathers statements; the lexer refuses commands to the client.
type peopleSink struct {
	lexer *myLexer
	raw   bytes.Buffer
	all   []peopleStatement
}

func (s *peopleSink) text(p []byte)  { s.raw.Write(p) }
func (s *peopleSink) comment([]byte) {}
func (s *peopleSink) end(delimiter string) {
	tokens, _ := myTokens(s.raw.Bytes())
	if delimiter != ";" {
		s.lexer.fail(ErrHostileSQL, "a DELIMITER")
	}
	if len(tokens) > 0 {
		s.all = append(s.all, peopleStatement{raw: s.raw.String(), tokens: tokens})
	}
	s.raw.Reset()
}

func parsePeople(sql []byte) ([]peopleStatement, error) {
	if len(sql) > maxSQL {
		return nil, fmt.Errorf("%w: %d bytes of SQL, at most %d are read", ErrHostileSQL, len(sql), maxSQL)
	}
	sink := &peopleSink{}
	sink.lexer = newMyLexer(sink)
	sink.lexer.feed(sql)
	return sink.all, sink.lexer.finish()
}

// about is the account that a statement makes or gives something to, and where
// the words before it end. Only a quoted host belongs to a name.
func (s peopleStatement) about() (account string, ok bool) {
	t := s.tokens
	at := -1
	switch {
	case t.word(0) == "CREATE" && (t.word(1) == "USER" || t.word(1) == "ROLE"):
		at = 2
	case t.word(0) == "REVOKE": // MySQL's partial ones
		at = slices.IndexFunc(t, func(x myToken) bool { return x.word == "FROM" }) + 1
	case t.word(0) == "GRANT":
		at = slices.IndexFunc(t, func(x myToken) bool { return x.word == "TO" }) + 1
	case t.word(0) == "SET" && t.word(1) == "DEFAULT" && t.word(2) == "ROLE":
		at = slices.IndexFunc(t, func(x myToken) bool { return x.word == "FOR" }) + 1
	}
	quoted := func(i int) bool { return t.symbolAt(i) == '`' || t.symbolAt(i) == '\'' }
	if at < 1 || !quoted(at) {
		return "", false
	}
	host := ""
	if quoted(at + 1) {
		host = t.nameAt(at + 1)
	}
	return myAccount(t.nameAt(at), host), true
}

// object is what a grant is on: its database and its name in it. A grant on
// all of a database, on everything, of a role or of a proxy is on none.
func (s peopleStatement) object() (database, name string, ok bool) {
	t := s.tokens
	on := slices.IndexFunc(t, func(x myToken) bool { return x.word == "ON" })
	if on < 0 || t.word(0) != "GRANT" {
		return "", "", false
	}
	at := on + 1
	for at < len(t) && t.symbolAt(at) == 0 && slices.Contains([]string{"PROCEDURE", "FUNCTION", "PACKAGE", "BODY", "TABLE"}, t.word(at)) {
		at++
	}
	if t.nameAt(at) == "" || t.symbolAt(at+1) != '.' || t.nameAt(at+2) == "" {
		return "", "", false
	}
	return t.nameAt(at), t.nameAt(at + 2), true
}

// RestoreGlobals makes the users and roles that are missing, with their
// passwords and what they are granted. What exists stays as it is, unless
// Replace says otherwise; then too the user that the restore connects as keeps
// its password and rights, because the container's environment decides over
// those. What is granted on the objects of a database comes with the database.
func (m MariaDB) RestoreGlobals(req GlobalsRequest) ([]Step, []string, error) {
	if err := m.CanRestore(req.Dumped, req.Target); err != nil {
		return nil, nil, err
	}
	statements, err := parsePeople(req.SQL)
	if err != nil {
		return nil, nil, fmt.Errorf("read the stored users: %w", err)
	}
	// A user whose default role comes with its statement is made after those
	// roles, and changed after it was given them.
	var sql, makes, late, last bytes.Buffer
	var notes, created []string
	touched := map[string]bool{}
	for _, s := range statements {
		account, ok := s.about()
		_, _, ofObject := s.object()
		exists := slices.Contains(req.Target.Roles, account)
		isRole := s.tokens.word(1) == "ROLE"
		switch {
		case !ok:
			notes = append(notes, fmt.Sprintf("a statement %.16s ... is left out", s.tokens.word(0)))
		case s.tokens.word(0) == "CREATE" && !exists:
			touched[account], created = true, append(created, account)
			to := &makes
			if s.defaultRole() {
				to = &late
			}
			to.WriteString(s.raw + ";\n")
		case s.tokens.word(0) == "CREATE" && req.Replace && account != req.Target.Connect && !myOfImage(account):
			touched[account] = true
			to := &makes
			if s.defaultRole() {
				to = &last
			}
			if !isRole {
				to.WriteString(strings.Replace(s.raw, "CREATE", "ALTER", 1) + ";\n")
			}
		case s.tokens.word(0) != "CREATE" && touched[account] && !ofObject:
			sql.WriteString(s.raw + ";\n")
		}
	}
	makes.Write(late.Bytes())
	makes.Write(sql.Bytes())
	makes.Write(last.Bytes())
	if req.Replace {
		notes = append(notes, fmt.Sprintf("user %q, which the restore connects as, keeps its password and rights", req.Target.Connect))
	}
	if makes.Len() == 0 {
		return nil, notes, nil
	}
	return []Step{peopleStep(req, created, makes.Bytes())}, notes, nil
}

// defaultRole says whether a CREATE USER names roles.
func (s peopleStatement) defaultRole() bool {
	for i := range s.tokens {
		if s.tokens.word(i) == "DEFAULT" && s.tokens.word(i+1) == "ROLE" {
			return true
		}
	}
	return false
}

// myOfImage says whether the image made a user for its own healthcheck, whose
// password it keeps beside the data: another one would make the service
// unhealthy.
func myOfImage(account string) bool {
	user, _, _ := strings.Cut(account, "@")
	return user == "healthcheck"
}

// peopleStep runs the statements. There are no transactions for them: what was
// made of the missing users goes again if the step fails.
func peopleStep(req GlobalsRequest, created []string, sql []byte) Step {
	cause := "users and roles that are missing: " + nameList(created)
	if req.Replace {
		cause = "users as they were, replacing those that exist"
	}
	step := Step{
		Name:    "globals",
		Cause:   cause,
		Command: Command{Argv: req.Target.my(mySecretScript), Stdin: true, Show: req.Target.shownClient() + " (create missing users)"},
		Input:   InputLiteral,
		Literal: append(sql, myDoneSQL...),
	}
	if len(created) > 0 {
		var drops []string
		for _, account := range created {
			at := strings.LastIndexByte(account, '@')
			if user, host := account[:at], account[at+1:]; host == "" && user != "" {
				drops = append(drops, "DROP ROLE IF EXISTS "+myIdent(user))
			} else {
				drops = append(drops, "DROP USER IF EXISTS "+myLiteral(user)+"@"+myLiteral(host))
			}
		}
		step.Undo = &Command{Argv: req.Target.my(myQuery, strings.Join(drops, ";\n")), Show: "DROP USER"}
	}
	return step
}

// objectGrants are the statements of a stored file that grant something on an
// object of a database, as rows for the table of objects.
func objectGrants(sql []byte, database, objects string) (string, error) {
	statements, err := parsePeople(sql)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, s := range statements {
		if in, _, ok := s.object(); ok && in == database {
			fmt.Fprintf(&b, "INSERT INTO %s (kind, body) VALUES ('grant', 0x%s);\n", objects, hex.EncodeToString([]byte(s.raw)))
		}
	}
	return b.String(), nil
}
