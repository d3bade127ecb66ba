package repository

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestF40_NoRemover: nothing in this package takes a storage.Remover, or a
// whole storage.Store from which it could get one. Only the files named here
// may.
func TestF40_NoRemover(t *testing.T) {
	fset := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	look := func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == "storage" {
			seen++
			switch sel.Sel.Name {
			case "Remover", "Store", "Backend", "New", "Join":
				t.Errorf("%s: storage.%s", fset.Position(n.Pos()), sel.Sel.Name)
			}
		}
		return true
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || mayRemove(name) {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, look)
	}
	if seen == 0 {
		t.Error("no use of package storage was seen at all")
	}
}

func mayRemove(file string) bool {
	for _, start := range []string{"forget", "prune", "repair", "keychange"} {
		if strings.HasPrefix(file, start) {
			return true
		}
	}
	return false
}
