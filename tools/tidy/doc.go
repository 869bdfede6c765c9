// Package tidy holds the tests of the code's own shape: who may import whom, that every
// package says in one sentence what it is, and how long a function may grow.
package tidy
