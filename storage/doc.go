// Package storage says what the repository asks of the place where its files
// lie: a bucket, a directory, or anything else that can keep small immutable
// files under fixed names.
//
// What a caller may do is a matter of types. A [Store] is opened once, by the
// command that was started, and hands out a [Reader], a [Writer], a [Locker]
// and a [Remover]. Code that is given a Reader cannot write or delete: none of
// the four values can be converted into another by a type assertion.
//
// [AppendOnly] makes of a Store an [AppendStore], which has no Remover at all.
//
// Implementations are written as a [Backend] and sealed by [New], which checks
// every handle, proves that a reader yields exactly the bytes that were
// promised, and that a source yields exactly the bytes it announced. [Retry]
// and [Count] are decorators over any Store.
package storage
