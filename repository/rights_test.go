package repository

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"strings"
	"testing"
)

// TestF40_NoRemover: nothing in this package takes a storage.Remover, or a
// whole storage.Store from which it could get one. Only a file whose name
// begins with forget or prune may.
func TestF40_NoRemover(t *testing.T) {
	fset := token.NewFileSet()
	packages, err := parser.ParseDir(fset, ".", func(i fs.FileInfo) bool {
		return !strings.HasSuffix(i.Name(), "_test.go") && !strings.HasPrefix(i.Name(), "forget") && !strings.HasPrefix(i.Name(), "prune")
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	ast.Inspect(packages["repository"], func(n ast.Node) bool {
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
	})
	if seen == 0 {
		t.Error("no use of package storage was seen at all")
	}
}
