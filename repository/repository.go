package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/ripplebak/ripplebak/storage"
)

// InitOptions says what a new repository looks like. The zero value is right
// but for tests and copies.
type InitOptions struct {
	Version    uint             // 1 or 2; 0 means 2
	Polynomial string           // the chunker polynomial in hex; empty for a fresh one
	KDF        KDF              // cost of the first key; zero: calibrated to half a second
	Hostname   string           // recorded in the key file; empty: the machine's
	Username   string           // recorded in the key file; empty: the process's
	Now        func() time.Time // nil: time.Now
}

// Options says how to work with a repository.
type Options struct {
	// CacheDir is a directory for copies of indexes, snapshots and trees;
	// empty for none. Losing it costs time only. It may be shared by several
	// processes and repositories.
	CacheDir string
	// CacheSize bounds that directory, in bytes, for all repositories in it;
	// 0 means 1 GiB. Trees go first, then what was used least lately.
	CacheSize int64
	// Keys, where set, keeps the key between one opening and the next. Nil: it
	// is derived from the password each time.
	Keys *Keyring
	// Warn is told what does not stop the work: a cache that cannot be
	// written. It is called from any goroutine. Nil: nobody.
	Warn func(error)
	// Workers is how many goroutines compress and seal, or open and
	// decompress; 0 means one per CPU that the process may use.
	Workers int
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Repository is an opened repository. Its methods can be called from several
// goroutines.
type Repository struct {
	store   storage.Reader
	master  masterKey
	key     ID // the key file that the password opened
	sealer  *sealer
	config  Config
	opt     Options
	cache   *cache
	index   *index
	buffers *bufferPool
	decoder *zstd.Decoder

	mu      sync.Mutex
	loaded  map[ID]bool // index files that index holds
	writers map[*Writer]struct{}
}

// Init creates a repository. It provisions the storage first, and fails with
// ErrExist where a repository is already. The key file is written before the
// config, which is what makes the repository exist; an Init that was killed
// between the two is taken up again with the same password.
//
// Where two first runs race, one wins and the other gets ErrExist and takes its
// key file back: stock restic, which takes the first key that the password
// opens, would stumble over it. One that is killed before it could leaves it
// behind; Open skips it and warns.
func Init(ctx context.Context, r storage.Reader, w storage.Writer, password string, opt InitOptions) error {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Version == 0 {
		opt.Version = maxVersion
	}
	if opt.Version < minVersion || opt.Version > maxVersion {
		return fmt.Errorf("%w %d: this program writes %d and %d", ErrVersion, opt.Version, minVersion, maxVersion)
	}
	if password == "" {
		return errors.New("the repository's password is empty: set one")
	}
	if err := w.Provision(ctx); err != nil {
		return fmt.Errorf("provision %s: %w", r.Location(), err)
	}
	if err := refuseExisting(ctx, r); err != nil {
		return err
	}
	m, made, err := initialKey(ctx, r, w, password, opt)
	if err != nil {
		return err
	}
	err = createConfig(ctx, w, m, opt)
	if errors.Is(err, ErrExist) && made != nil {
		if werr := made.withdraw(ctx, r, password); werr != nil {
			err = fmt.Errorf("%w; our key %s is left behind: %w", err, made.id.Short(), werr)
		}
	}
	return err
}

// refuseExisting fails where a config is, or data without one: that was a
// repository, and a fresh config would make it unreadable for good.
func refuseExisting(ctx context.Context, r storage.Reader) error {
	_, err := r.Stat(ctx, storage.Handle{Kind: storage.ConfigFile})
	if err == nil {
		return fmt.Errorf("%s: %w", r.Location(), ErrExist)
	}
	if !errors.Is(err, storage.ErrNotExist) {
		return fmt.Errorf("look for a repository: %w", err)
	}
	found := errors.New("found")
	for _, kind := range []storage.Kind{storage.SnapshotFile, storage.IndexFile, storage.PackFile} {
		err := r.List(ctx, kind, func(storage.Info) error { return found })
		if errors.Is(err, found) {
			return fmt.Errorf("%s: %w, but its file config is lost (there is a %s): bring config back from a copy, or choose another place",
				r.Location(), ErrExist, kind)
		}
		if err != nil {
			return fmt.Errorf("look for a repository: %w", err)
		}
	}
	return nil
}

// initialKey returns the master key that an interrupted Init left behind, or
// stores a new one; then made says how to take it back.
func initialKey(ctx context.Context, r storage.Reader, w storage.Writer, password string, opt InitOptions) (m masterKey, made *madeKey, err error) {
	err = findKey(ctx, r, password, func(_ string, left masterKey) error { m = left; return nil })
	if err == nil || !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrWrongPassword) {
		return m, nil, err
	}
	if m, err = newMasterKey(); err != nil {
		return m, nil, err
	}
	file, id, err := makeKey(m, password, KeyOptions{KDF: opt.KDF, Hostname: opt.Hostname, Username: opt.Username}, opt.Now)
	if err != nil {
		return m, nil, err
	}
	remove, err := w.CreateKey(ctx, id.String(), storage.NewPayload(file))
	if err != nil {
		return m, nil, fmt.Errorf("store key %s: %w", id.Short(), err)
	}
	return m, &madeKey{id: id, master: m, remove: remove}, nil
}

// madeKey is a key file that this Init has made.
type madeKey struct {
	id     ID
	master masterKey
	remove func(context.Context) error
}

// withdraw removes the key file where the repository that somebody else made
// opens with the same password by another key. In any other case it stays: a
// third first run may have found it and made the repository with it, and then
// it is the only key.
func (k *madeKey) withdraw(ctx context.Context, r storage.Reader, password string) error {
	repo, err := Open(ctx, r, password, Options{})
	if err != nil {
		return err
	}
	if repo.key == k.id || repo.master == k.master {
		return nil
	}
	return k.remove(ctx)
}

func createConfig(ctx context.Context, w storage.Writer, m masterKey, opt InitOptions) error {
	s, err := newSealer(m)
	if err != nil {
		return err
	}
	c, err := newConfig(opt.Version, opt.Polynomial)
	if err != nil {
		return err
	}
	file, err := sealConfig(c, s)
	if err != nil {
		return err
	}
	err = w.Create(ctx, storage.Handle{Kind: storage.ConfigFile}, storage.NewPayload(file))
	if errors.Is(err, storage.ErrExist) {
		return fmt.Errorf("%w: somebody else made it just now", ErrExist)
	}
	return err
}

// identity fills in who we are where that was not given.
func identity(username, hostname string) (string, string) {
	if username == "" {
		if u, err := user.Current(); err == nil {
			username = u.Username
		}
	}
	if hostname == "" {
		if h, err := os.Hostname(); err == nil {
			hostname = h
		}
	}
	return username, hostname
}

// Open opens a repository with a password. It loads no index: see LoadIndex.
func Open(ctx context.Context, r storage.Reader, password string, opt Options) (*Repository, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	file, err := readFile(ctx, r, storage.Handle{Kind: storage.ConfigFile}, maxConfig)
	if errors.Is(err, storage.ErrNotExist) || errors.Is(err, storage.ErrNoBucket) {
		return nil, fmt.Errorf("%s: %w (%w)", r.Location(), ErrNoRepository, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open repository: %w", err)
	}
	repo := &Repository{store: r, opt: opt, index: newIndex(), loaded: make(map[ID]bool), writers: make(map[*Writer]struct{})}
	repo.cache = newCache(&opt)
	var misfits []string // keys that the password opens, of no use here
	err = unlock(ctx, r, password, opt.Keys, repo.cache, func(name string, m masterKey) error {
		s, err := newSealer(m)
		if err != nil {
			return err
		}
		if repo.key, err = ParseID(name); err != nil {
			return err
		}
		repo.master, repo.sealer = m, s
		if repo.config, err = openConfig(bytes.Clone(file), s); errors.Is(err, ErrDamaged) {
			misfits = append(misfits, repo.key.Short())
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open repository: %w", err)
	}
	for _, name := range misfits {
		if opt.Warn != nil {
			opt.Warn(fmt.Errorf("the key %s is not of this repository, a first run left it behind: remove it with \"key remove\", for stock restic may stumble over it", name))
		}
	}
	if repo.decoder, err = newBlobDecoder(opt.Workers); err != nil {
		return nil, fmt.Errorf("set up zstd: %w", err)
	}
	repo.buffers = newBufferPool()
	repo.cache.of(repo.config.ID).setHint(r.Location(), repo.key.String())
	return repo, nil
}

// Config returns what the file config says.
func (r *Repository) Config() Config { return r.config }

// Location names the storage in messages; it carries no secret.
func (r *Repository) Location() string { return r.store.Location() }
