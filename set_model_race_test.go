//go:build race

package waybill_test

func init() { raceEnabled = true }
