// Package storagetest holds what tests of storage, and of code over storage,
// share: [Memory], a store without a disk; [Faulty], a decorator that injects
// failures and insists on each being hit; and [Contract], the suite that every
// implementation of [storage.Store] has to pass.
package storagetest
