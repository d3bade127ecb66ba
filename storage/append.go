package storage

import "context"

// AppendOnly takes the right to remove away from a Store, for good: what comes
// back has no Remover, and cannot be turned into something that has. Locks can
// still be removed, by its Locker.
func AppendOnly(s Store) AppendStore { return appendOnly{s} }

type appendOnly struct{ s Store }

func (a appendOnly) Reader() Reader                  { return a.s.Reader() }
func (a appendOnly) Writer() Writer                  { return a.s.Writer() }
func (a appendOnly) Locker() Locker                  { return a.s.Locker() }
func (a appendOnly) Retainer() Retainer              { return a.s.Retainer() }
func (a appendOnly) Probe(ctx context.Context) error { return a.s.Probe(ctx) }
func (a appendOnly) Close() error                    { return a.s.Close() }
