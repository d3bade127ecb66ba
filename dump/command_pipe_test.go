package dump

import (
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"
)

// pipeCases are commands of which a pipe hides a failure, or does not, in a
// shell that has pipefail.
var pipeCases = []struct {
	text string
	bare bool
}{
	{"tool dump", false},
	{"tool dump | gzip", true},
	{"tool dump|gzip", true},
	{"tool dump |& gzip", true},
	{"tool dump \\\n| gzip", true},
	{"tool dump |\n gzip", true},
	{"a || b", false},
	{"a || b | c", true},
	{"a && b || c", false},
	{"a >| file && cat file", false},
	{"sed 's|a|b|' file", false},
	{`sed "s|a|b|" file`, false},
	{`sed s\|a\|b\| file`, false},
	{"cat file # a | b", false},
	{"cat file#a | b", true},
	{"cat 'a' \"b|c\" | d", true},
	{`echo "it's" | cat`, true},
	{`echo 'a "' | cat`, true},
	{"cat <<EOF\na | b\nEOF", false},
	{"cat <<EOF\na\nEOF\nb | c", true},
	{"cat <<-'EOF' && b | c\n\ta\n\tEOF", true},
	{"cat <<EOF\n$(a | b)\nEOF", true},
	{"cat <<'EOF'\n$(a | b)\nEOF", false},
	{"cat <<EOF | gzip\na\nEOF", true},
	{"sh <<EOF\na | b\nEOF", true},
	{"echo $(a | b)", true},
	{"echo \"$(a | b)\"", true},
	{"echo '$(a | b)'", false},
	{"echo `a | b`", true},
	{"echo \"`a | b`\"", true},
	{"x=$(a | b); cat $x", true},
	{"echo $((1 | 2))", false},
	{"echo ${x:-a|b}", false},
	{"echo ${x:-$(a | b)}", true},
	{"cat <(a | b)", true},
	{"case x in a|b) cat f ;; esac", false},
	{"case x in a|b) cat f | d ;; esac", true},
	{"{ a; b; } | c", true},
	{"(a | b)", true},
	{"(a; b) | c", true},
	{"if a | b; then c; fi", true},
	{"for f in *; do cat $f | x; done", true},
	{"while read x; do echo $x; done < f", false},
	{"a & b | c", true},
	{"time a | b", true},
	{"! a | b", true},
	{"f() { a | b; }; f", true},

	{"set -o pipefail; a | b", false},
	{"set -o pipefail\na | b", false},
	{"set -eo pipefail; a | b", false},
	{"set -euo pipefail; a | b", false},
	{"set -e -u -o pipefail; a | b", false},
	{"set -o errexit -o pipefail; a | b", false},
	{"set -oe pipefail; a | b", false},
	{"set -o pipefail && a | b", false},
	{"cd /x && set -o pipefail && a | b", false},
	{"cd /x && set -o pipefail; a | b", true},
	{"a || set -o pipefail; a | b", true},
	{"a | b; set -o pipefail", true},
	{"set +o pipefail; a | b", true},
	{"set -o pipefail; set +o pipefail; a | b", true},
	{"set -o pipefail; (set +o pipefail); a | b", false},
	{"set -o errexit; a | b", true},
	{"set -- -o pipefail; a | b", true},
	{"set -o nopipefail; a | b", true},
	{"echo set -o pipefail; a | b", true},
	{"echo 'set -o pipefail'; a | b", true},
	{"# set -o pipefail\na | b", true},
	{"(set -o pipefail); a | b", true},
	{"$(set -o pipefail); a | b", true},
	{"set -o pipefail & a | b", true},
	{"set -o pipefail | cat; a | b", true},
	{"(set -o pipefail; a | b)", false},
	{"{ set -o pipefail; }; a | b", false},
	{"if x; then set -o pipefail; fi; a | b", true},
	{"if set -o pipefail; then a | b; fi", false},
	{"while x; do set -o pipefail; done; a | b", true},
	{"f() { set -o pipefail; }; f; a | b", true},
	{"case x in a) set -o pipefail ;; esac; a | b", true},
	{"set -o pipefail; echo \"$(a | b)\"", false},
	{"set -o pipefail; f() { a | b; }; f", false},

	{"bash -c 'a | b'", true},
	{"set -o pipefail; bash -c 'a | b'", true},
	{`bash -c "a \"x\" | b"`, true},
	{"bash -c 'set -o pipefail; a | b'", false},
	{"bash -o pipefail -c 'a | b'", false},
	{"bash -eo pipefail -c 'a | b'", false},
	{"bash -ceo pipefail 'a | b'", false},
	{"/bin/bash -euc 'a | b'", true},
	{"bash --norc -c 'a | b'", true},
	{"su - db -c 'a | b'", true},
	{"gosu db sh -c 'a | b'", true},
	{"sh -c 'sh -c \"a | b\"'", true},
	{"eval 'a | b'", true},
	{"set -o pipefail; eval 'a | b'", false},
	{"bash <<< 'a | b'", true},
	{"bash script.sh", false},
	{"grep -c 'a|b' file", false},
	{"psql -c 'select a || b'", false},

	{"a | b 'unterminated", true},
	{"a || b 'unterminated", false},
	{"a ) | b", true},
}

func TestPipesThatHideAFailure(t *testing.T) {
	for _, c := range pipeCases {
		if got := pipesOf(c.text, true); got != (pipes{bare: c.bare}) {
			t.Errorf("%q: %+v, want bare=%v", c.text, got, c.bare)
		}
	}
	for text, want := range map[string]pipes{
		"a | b":                                {blind: true},
		"a || b":                               {},
		"bash -c 'a | b'":                      {bare: true},
		"bash -c 'set -o pipefail; a | b'":     {},
		"sh -c 'a | b'":                        {blind: true},
		"a | bash -c 'b | c'":                  {bare: true, blind: true},
		"a | b 'unterminated":                  {blind: true},
		"cat f | bash -c 'set -o pipefail; x'": {blind: true},
	} {
		if got := pipesOf(text, false); got != want {
			t.Errorf("%q in a shell without pipefail: %+v, want %+v", text, got, want)
		}
	}
	if got := pipesOf("dash -c 'a | b'", true); !got.blind {
		t.Errorf("dash has no pipefail: %+v", got)
	}
}

func TestPipeAdviceCanBePasted(t *testing.T) {
	got := pipeAdvice("dump.command", "tool 'x' $PASS | gzip")
	if want := "\n  ripplebak.dump.command: 'set -o pipefail; tool ''x'' $$PASS | gzip'"; !strings.HasSuffix(got, want) {
		t.Errorf("%s", got)
	}
	for _, text := range []string{"bash -c 'a | b'", "a |\nb", strings.Repeat("x", 2000) + " | b"} {
		if got := pipeAdvice("dump.command", text); strings.Contains(got, "\n") {
			t.Errorf("there is nothing to paste for %.20q: %s", text, got)
		}
	}
}

// FuzzPipes holds what is true of any text: without the character there is no
// pipe, and a pipe behind a whole command is seen, unless pipefail is named.
func FuzzPipes(f *testing.F) {
	for _, c := range pipeCases {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, own := range []bool{true, false} {
			got := pipesOf(text, own)
			if !strings.Contains(text, "|") && got != (pipes{}) {
				t.Fatalf("%q has no pipe: %+v", text, got)
			}
		}
		_, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
		if err == nil && !strings.Contains(text, "pipefail") && !pipesOf(text+"\na | b\n", true).bare && !strings.ContainsAny(text, "\\`'\"$") {
			t.Fatalf("the pipe behind %q is not seen", text)
		}
		_ = pipeAdvice("dump.command", text)
	})
}
