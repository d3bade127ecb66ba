//go:build race

package sidecar

// raceDetector says that memory cannot be measured: the detector takes its own.
const raceDetector = true
