package sidecar

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sort"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
)

// commit writes the snapshot: the trees above the items, the manifest, and at
// last the one file that makes the backup exist.
func (r *run) commit(ctx context.Context) (repository.ID, *manifest.Manifest, error) {
	m := r.manifest()
	if err := r.writer.Flush(ctx); err != nil {
		return repository.ID{}, nil, fmt.Errorf("store the run's data: %w", err)
	}
	root, err := r.saveRoot(ctx, m)
	if err != nil {
		return repository.ID{}, nil, err
	}
	tags := []string{TagOurs, TagProject + r.plan.Project}
	if r.safety {
		tags = append(tags, TagSafety)
	}
	if !m.Complete() {
		tags = append(tags, TagIncomplete)
	}
	id, err := r.writer.SaveSnapshot(ctx, &repository.Snapshot{
		Time: r.started, Parent: r.parents.newest(), Tree: &root, Paths: []string{"/" + manifest.Escape(r.plan.Project)},
		Hostname: r.host.name, Username: "root", Tags: tags, ProgramVersion: "ripplebak " + r.app.Version,
	})
	if err != nil {
		return repository.ID{}, nil, fmt.Errorf("write the snapshot: %w", err)
	}
	r.app.crash("after-snapshot")
	return id, m, nil
}

func (r *run) manifest() *manifest.Manifest {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := &manifest.Manifest{
		Project: r.plan.Project, Run: r.id, Safety: r.safety, Overwritten: r.overwrites, Host: r.host.name, Program: r.app.Version,
		Engine: r.host.info.ServerVersion, Started: r.started, Finished: r.app.Now(), Warnings: r.warnings, Only: r.plan.Only, Schedules: r.plan.Schedules,
		Services: []manifest.Service{}, Items: []manifest.Item{}, Recovery: r.recovery(),
	}
	for _, u := range r.plan.Unlabelled {
		m.Unlabelled = append(m.Unlabelled, manifest.Unlabelled{Service: u.Service, Holds: u.Holds})
	}
	for _, s := range r.found.project.Services {
		ms := manifest.Service{Name: s.Name, Image: s.Image}
		if len(s.Containers) > 0 {
			ms.ImageID = s.Containers[0].ImageID
		}
		ms.Stopped = !slices.ContainsFunc(s.Containers, compose.Container.Running)
		for _, d := range s.DependsOn {
			ms.DependsOn = append(ms.DependsOn, d.Service)
		}
		m.Services = append(m.Services, ms)
	}
	for _, it := range r.plan.Items {
		item := r.results[it.Key].item
		item.DowntimeSeconds = r.downtimeOf(it.Key).Seconds()
		m.Items = append(m.Items, item)
	}
	return m
}

// directory is a folder of the snapshot that we made ourselves.
type directory struct {
	folders map[string]*directory
	nodes   []*repository.Node
}

func newDirectory() *directory { return &directory{folders: map[string]*directory{}} }

func (d *directory) at(path ...string) *directory {
	for _, name := range path {
		next, ok := d.folders[name]
		if !ok {
			next = newDirectory()
			d.folders[name] = next
		}
		d = next
	}
	return d
}

// saveRoot saves the folders above the items, and the manifest among them.
// An item that is not stored leaves no node.
func (r *run) saveRoot(ctx context.Context, m *manifest.Manifest) (repository.ID, error) {
	project := newDirectory()
	for _, it := range r.plan.Items {
		res := r.results[it.Key]
		path := res.item.Path()
		if res.folder != nil {
			project.folders[manifest.ConfigDir] = res.folder
		}
		if len(res.nodes) == 0 {
			continue
		}
		if it.Volume != nil {
			path = path[:len(path)-1] // the node itself is the last
		}
		d := project.at(path...)
		d.nodes = append(d.nodes, res.nodes...)
	}
	node, err := r.saveManifest(ctx, m)
	if err != nil {
		return repository.ID{}, err
	}
	project.nodes = append(project.nodes, node)
	if !r.safety { // which is of what a restore overwrites, not of the project
		node, err := r.saveText(ctx, manifest.RunbookName, []byte(r.app.Redactor().Redact(string(m.Runbook("")))))
		if err != nil {
			return repository.ID{}, err
		}
		project.nodes = append(project.nodes, node)
	}
	root := newDirectory()
	root.folders[manifest.Escape(r.plan.Project)] = project
	return r.saveDirectory(ctx, root)
}

func (r *run) saveManifest(ctx context.Context, m *manifest.Manifest) (*repository.Node, error) {
	b, err := m.Encode()
	if err != nil {
		return nil, err
	}
	return r.saveText(ctx, manifest.FileName, b)
}

// saveText saves a file that we have written.
func (r *run) saveText(ctx context.Context, name string, content []byte) (*repository.Node, error) {
	f := r.writer.NewFile(repository.CutFile)
	if _, err := f.Write(content); err != nil {
		f.Abandon()
		return nil, fmt.Errorf("save %s: %w", name, err)
	}
	ids, size, err := f.Finish().Wait(ctx)
	if err != nil {
		return nil, fmt.Errorf("save %s: %w", name, err)
	}
	return r.fileNode(name, ids, size), nil
}

func (r *run) saveDirectory(ctx context.Context, d *directory) (repository.ID, error) {
	nodes := d.nodes
	for name, sub := range d.folders {
		id, err := r.saveDirectory(ctx, sub)
		if err != nil {
			return repository.ID{}, err
		}
		nodes = append(nodes, &repository.Node{
			Name: name, Type: "dir", Mode: os.ModeDir | 0o700, ModTime: r.started, AccessTime: r.started, ChangeTime: r.started, Subtree: &id,
		})
	}
	sort.Slice(nodes, func(a, b int) bool { return nodes[a].Name < nodes[b].Name })
	id, err := r.writer.SaveTree(ctx, &repository.Tree{Nodes: nodes})
	if err != nil {
		return repository.ID{}, fmt.Errorf("save the snapshot's folders: %w", err)
	}
	return id, nil
}
