// Package foreign shows that checkpoints can be anchored to a witness that this project
// did not write: litewitness, of the module filippo.io/torchwood. It is a module of its
// own, so that the product does not depend on it.
package foreign
