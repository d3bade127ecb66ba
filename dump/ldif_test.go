package dump

import (
	"errors"
	"strings"
	"testing"
)

const ldifSample = `dn: dc=example,dc=org
objectClass: top
objectClass: dcObject
dc: example
structuralObjectClass: organization
userPassword:: e1NTSEF9cGxhbnRlZA==
description: a value that is so long that slapcat folds it, which it does at its
  seventy-eighth byte: and on
modifyTimestamp;lang-en: 20260101000000Z

dn:: Y249w5xuw69jb2RlLGRjPWV4YW1wbGUsZGM9b3Jn
objectClass: person
structuralObjectClass: person
a-name-so-long-that-it-is-folded-before-its-end-as-slapcat-does-with-every-li
 ne: x
empty:

`

func ldifOf(text string, pieces int) (*ldifProof, error) {
	p := newLDIFProof(RoleDatabase)
	for b := []byte(text); len(b) > 0; {
		n := min(pieces, len(b))
		p.Write(b[:n])
		b = b[n:]
	}
	return p, p.Finish()
}

func TestLDIFIsProvenCutAtEveryByte(t *testing.T) {
	for _, pieces := range []int{1, 7, len(ldifSample)} {
		p, err := ldifOf(ldifSample, pieces)
		if err != nil || p.Summary() != "2 entries" {
			t.Fatalf("in pieces of %d: %s, %v", pieces, p.Summary(), err)
		}
	}
	for n := range len(ldifSample) {
		_, err := ldifOf(ldifSample[:n], 16)
		switch whole := strings.HasSuffix(ldifSample[:n], "\n\n"); {
		case whole && err != nil:
			t.Errorf("cut between entries, at %d: %v", n, err) // the gate finds that, not the proof
		case !whole && err == nil:
			t.Errorf("cut at %d: it is taken for whole", n)
		case !whole && n > 0 && !errors.Is(err, ErrCutDump):
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	if _, err := ldifOf("", 1); !errors.Is(err, ErrEmptyDump) {
		t.Errorf("nothing: %v", err)
	}
}

func TestLDIFRefusesWhatIsNoDump(t *testing.T) {
	entry := func(lines string) string {
		return "dn: dc=org\nobjectClass: a\nstructuralObjectClass: a\n" + lines + "\n"
	}
	if _, err := ldifOf(entry("description: < is no reference\n")+"# a remark\n\n"+entry(""), 5); err != nil {
		t.Errorf("what is a dump: %v", err)
	}
	for name, text := range map[string]string{
		"a file":                      entry("description:< file:///etc/passwd\n"),
		"a file, folded":              entry("description:\n < file:///etc/passwd\n"),
		"a file, folded in its name":  entry("descri\n ption:\n \n < file:///etc/passwd\n"),
		"a file, folded by a tab":     entry("description:\n\t<file:///etc/passwd\n"),
		"a change":                    "dn: dc=org\nchangetype: delete\nobjectClass: a\nstructuralObjectClass: a\n\n",
		"a change, folded":            "dn: dc=org\nChange\n Type: delete\nobjectClass: a\nstructuralObjectClass: a\n\n",
		"an include":                  "dn: dc=org\ninclude: file:///etc/passwd\nobjectClass: a\nstructuralObjectClass: a\n\n",
		"no name":                     "objectClass: a\nstructuralObjectClass: a\n\n",
		"two names":                   entry("dn: dc=net\n"),
		"no class":                    "dn: dc=org\nstructuralObjectClass: a\n\n",
		"no structural class":         "dn: dc=org\nobjectClass: a\n\n",
		"what was not begun":          " more\n" + entry(""),
		"an error text":               "slapcat: could not open the database\n",
		"a remark within":             entry("# remark\n"),
		"a NUL":                       entry("a\x00b: c\n"),
		"no entry":                    "\n\n\n",
		"a line without an end":       entry("description: " + strings.Repeat("x", maxLDIFLine)),
		"a name without an end":       entry("a" + strings.Repeat("\n "+strings.Repeat("a", 70), maxLDIFLine/70) + "\n"),
		"carriage returns at the end": strings.ReplaceAll(entry(""), "\n", "\r\n"),
	} {
		for _, pieces := range []int{1, 1 << 20} {
			if _, err := ldifOf(text, pieces); !errors.Is(err, ErrBadDump) && !errors.Is(err, ErrCutDump) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// FuzzLDIF: however it comes, the judgement is the same, and what is kept is
// bounded.
func FuzzLDIF(f *testing.F) {
	f.Add([]byte(ldifSample), 3)
	f.Add([]byte("dn:\n < x\n\n"), 1)
	f.Fuzz(func(t *testing.T, b []byte, pieces int) {
		whole, err := ldifOf(string(b), max(1, len(b)))
		p, other := ldifOf(string(b), 1+max(0, pieces%100))
		if (err == nil) != (other == nil) || err == nil && whole.entries != p.entries {
			t.Errorf("whole: %v, in pieces: %v", err, other)
		}
		if len(p.head) > maxLDIFLine || len(p.line) > maxLDIFLine+100 {
			t.Errorf("it keeps %d and %d bytes", len(p.head), len(p.line))
		}
	})
}
