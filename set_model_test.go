package waybill_test

import (
	"flag"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

var (
	modelSeed      = flag.Uint64("model.seed", 1, "the seed of the first schedule of a model")
	modelSchedules = flag.Int("model.schedules", 0, "how many schedules a model runs; 0: 5000, or 500 under the race detector")
	modelLong      = flag.Bool("model.long", false, "run the long forms of the models, and the mutants of the merge")
	modelFirst     = flag.Bool("model.first", false, "stop a model at the first schedule that fails")
)

// raceEnabled says that the race detector is on, which makes the models slow.
var raceEnabled bool

// schedules is how many schedules a model runs.
func schedules() int {
	switch {
	case *modelSchedules > 0:
		return *modelSchedules
	case raceEnabled:
		return 500
	}
	return 5000
}

// TestSetModel runs random schedules of one client and checks that the merge of its tokens loses
// nothing, counts nothing twice, and brings nothing back. An eighth of the answers is lost;
// requests are repeated with what they carried, or executed twice; clocks differ; tokens are
// renewed and resumed.
func TestSetModel(t *testing.T) {
	n := schedules()
	if wrong := runSetModel(t, rightRule, n); wrong > 0 {
		t.Errorf("%d of %d schedules fail", wrong, n)
	}
}

// TestSetModelFindsWrongClients checks that the model can fail: clients that break the rule lose
// changes.
func TestSetModelFindsWrongClients(t *testing.T) {
	for rule, name := range map[modelRule]string{
		lastAnswer: "keeps the last answer", expireFirst: "expires first", appliedTwice: "applies an answer twice",
	} {
		t.Run(name, func(t *testing.T) {
			wrong := runSetModel(t, rule, 100)
			t.Logf("%d of 100 schedules fail", wrong)
			if wrong == 0 {
				t.Error("the model does not notice the wrong client")
			}
		})
	}
}

// runSetModel runs n schedules, and returns how many fail. The shortest one that fails although the
// client is right is traced.
func runSetModel(t *testing.T, rule modelRule, n int) (wrong int) {
	ring := modelRing(t)
	var stats modelStats
	var shortest *modelSchedule
	var seed uint64
	began := time.Now()
	for i := range n {
		s, err := runSchedule(t, ring, *modelSeed+uint64(i), rule, nil)
		stats.add(s.stats)
		if err == nil {
			continue
		}
		wrong++
		if shortest == nil || s.stats.requests < shortest.stats.requests {
			shortest, seed = s, *modelSeed+uint64(i)
		}
		if *modelFirst {
			break
		}
	}
	t.Logf("%v in %v, from seed %d", stats, time.Since(began).Round(time.Millisecond), *modelSeed)
	if rule == rightRule && wrong > 0 {
		_, err := runSchedule(t, ring, seed, rule, t.Logf)
		t.Logf("seed %d, which has the fewest requests of the schedules that fail: %v", seed, err)
	}
	return wrong
}

func runSchedule(t *testing.T, ring *keyring.Ring, seed uint64, rule modelRule, trace func(string, ...any)) (*modelSchedule, error) {
	cryptotest.SetGlobalRandom(t, seed)
	s := newModelSchedule(t, ring, seed, rule)
	s.log = trace
	return s, s.run()
}
