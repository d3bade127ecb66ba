package repository

import (
	"encoding/base64"
	"os"
	"slices"
	"strconv"
	"strings"
)

// decodeTree reads the JSON of a tree. The result keeps nothing of doc. Nodes
// come out in ascending order; a tree with two nodes of one name, or a name
// that no directory can have, is damaged.
func decodeTree(doc []byte) (*Tree, error) {
	d := &treeDecoder{s: jsonScanner{b: doc}}
	tree := &Tree{}
	err := d.s.object(func(key []byte) error {
		if string(key) != "nodes" {
			return d.s.skip()
		}
		return d.s.array(func() error {
			n := d.newNode()
			tree.Nodes = append(tree.Nodes, n)
			return d.node(n)
		})
	})
	if err == nil {
		err = d.s.end()
	}
	if err != nil {
		return nil, damaged("tree at byte %d: %w", d.s.i, err)
	}
	return tree, orderNodes(tree)
}

// orderNodes sorts where an old program did not, and refuses doubles.
func orderNodes(t *Tree) error {
	byName := func(a, b *Node) int { return strings.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(t.Nodes, byName) {
		slices.SortStableFunc(t.Nodes, byName)
	}
	for i := 1; i < len(t.Nodes); i++ {
		if t.Nodes[i].Name == t.Nodes[i-1].Name {
			return damaged("tree holds two nodes named %.200q", t.Nodes[i].Name)
		}
	}
	return nil
}

// treeDecoder hands out nodes, IDs and names from slabs, and keeps the owner's
// names of the node before, which seldom change.
type treeDecoder struct {
	s     jsonScanner
	nodes []Node
	ids   []ID
	user  string
	group string
}

const slabNodes = 64

func (d *treeDecoder) newNode() *Node {
	if len(d.nodes) == 0 {
		// A node takes some 400 bytes of JSON: no slab larger than the rest
		// of the tree can fill.
		d.nodes = make([]Node, min(slabNodes, (len(d.s.b)-d.s.i)/300+1))
	}
	n := &d.nodes[0]
	d.nodes = d.nodes[1:]
	return n
}

// newID returns a place for one ID that lives as long as the tree.
func (d *treeDecoder) newID() []ID {
	if len(d.ids) == 0 {
		d.ids = make([]ID, min(slabNodes, (len(d.s.b)-d.s.i)/300+1))
	}
	id := d.ids[:1:1]
	d.ids = d.ids[1:]
	return id
}

func (d *treeDecoder) node(n *Node) error {
	err := d.s.object(func(key []byte) error { return d.member(n, key) })
	if err != nil {
		return err
	}
	if !validName(n.Name) {
		return damaged("%.200q cannot be the name of a node", n.Name)
	}
	if n.Type == "" {
		return damaged("node %.200q has no type", n.Name)
	}
	return nil
}

func (d *treeDecoder) member(n *Node, key []byte) (err error) {
	s := &d.s
	switch string(key) {
	case "name":
		n.Name, err = d.name()
	case "type":
		n.Type, err = d.nodeType()
	case "mode":
		var mode uint32
		mode, err = s.uint32()
		n.Mode = os.FileMode(mode)
	case "mtime":
		n.ModTime, err = d.time()
	case "atime":
		n.AccessTime, err = d.time()
	case "ctime":
		n.ChangeTime, err = d.time()
	case "uid":
		n.UID, err = s.uint32()
	case "gid":
		n.GID, err = s.uint32()
	case "user":
		d.user, err = d.repeated(d.user)
		n.User = d.user
	case "group":
		d.group, err = d.repeated(d.group)
		n.Group = d.group
	case "inode":
		n.Inode, err = s.uint()
	case "device_id":
		n.DeviceID, err = s.uint()
	case "size":
		n.Size, err = s.uint()
	case "links":
		n.Links, err = s.uint()
	case "device":
		n.Device, err = s.uint()
	case "content":
		return d.content(n)
	case "subtree":
		if s.null() {
			return nil
		}
		n.Subtree = &d.newID()[0]
		return s.id(n.Subtree)
	default:
		return d.rare(n, key)
	}
	return err
}

// rare reads the members that few nodes have.
func (d *treeDecoder) rare(n *Node, key []byte) (err error) {
	switch string(key) {
	case "linktarget":
		var target string
		if target, err = d.text(); n.LinkTarget == "" {
			n.LinkTarget = target
		}
	case "linktarget_raw":
		if d.s.null() {
			return nil
		}
		var raw []byte
		raw, err = d.base64()
		n.LinkTarget = string(raw)
	case "extended_attributes":
		return d.s.array(func() error { return d.xattr(n) })
	case "error":
		n.Error, err = d.text()
	default:
		name := strconv.AppendQuoteToASCII(nil, string(key))
		if !jsonSafe(key) {
			return d.s.skip()
		}
		var raw []byte
		if raw, err = d.s.raw(); err != nil {
			return err
		}
		if len(n.Unknown) > 0 {
			n.Unknown = append(n.Unknown, ',')
		}
		n.Unknown = append(append(append(n.Unknown, name...), ':'), raw...)
	}
	return err
}

// jsonSafe says whether a key needs no escaping anywhere; no program writes
// others, and they are dropped.
func jsonSafe(key []byte) bool {
	for _, c := range key {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// name reads a name that was quoted as strconv.Quote does.
func (d *treeDecoder) name() (string, error) {
	text, err := d.s.text()
	if err != nil {
		return "", err
	}
	for _, c := range text {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return unquoteName(string(text))
		}
	}
	return string(text), nil
}

func unquoteName(text string) (string, error) {
	name, err := strconv.Unquote(`"` + text + `"`)
	if err != nil {
		return "", damaged("name %.200q is not quoted right", text)
	}
	return name, nil
}

func (d *treeDecoder) text() (string, error) {
	if d.s.null() {
		return "", nil
	}
	text, err := d.s.text()
	return string(text), err
}

// repeated reads a string that is most often the one before.
func (d *treeDecoder) repeated(last string) (string, error) {
	text, err := d.s.text()
	if string(text) == last {
		return last, err
	}
	return string(text), err
}

// nodeType reads a type without allocating.
func (d *treeDecoder) nodeType() (string, error) {
	text, err := d.s.text()
	switch string(text) {
	case NodeFile:
		return NodeFile, err
	case NodeDir:
		return NodeDir, err
	case NodeSymlink:
		return NodeSymlink, err
	}
	return string(text), err
}

// content reads a list of IDs. Most files have one.
func (d *treeDecoder) content(n *Node) error {
	if d.s.null() {
		return nil
	}
	n.Content = []ID{}
	err := d.s.array(func() error {
		if len(n.Content) == 0 {
			n.Content = d.newID()
			return d.s.id(&n.Content[0])
		}
		if len(n.Content) == cap(n.Content) {
			n.Content = slices.Grow(n.Content, len(n.Content)+1)
		}
		n.Content = append(n.Content, ID{})
		return d.s.id(&n.Content[len(n.Content)-1])
	})
	return err
}

func (d *treeDecoder) base64() ([]byte, error) {
	if d.s.null() {
		return nil, nil
	}
	text, err := d.s.text()
	if err != nil {
		return nil, err
	}
	out, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return nil, errJSON
	}
	return out, nil
}

func (d *treeDecoder) xattr(n *Node) error {
	var a ExtendedAttribute
	var raw []byte
	err := d.s.object(func(key []byte) (err error) {
		switch string(key) {
		case "name":
			a.Name, err = d.text()
		case "name_raw":
			raw, err = d.base64()
		case "value":
			a.Value, err = d.base64()
		default:
			err = d.s.skip()
		}
		return err
	})
	if len(raw) > 0 {
		a.Name = string(raw)
	}
	n.ExtendedAttributes = append(n.ExtendedAttributes, a)
	return err
}
