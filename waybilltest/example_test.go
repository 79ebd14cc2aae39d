package waybilltest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/waybilltest"
)

// Route is the code under test. It routes a request to the cell that its waybill names.
func Route(ctx context.Context) string {
	cell, ok := Cell.Get(ctx)
	if !ok {
		return "any cell"
	}
	return "cell " + cell
}

func Example() {
	var t exampleTB // in a test, use its *testing.T

	auth := waybilltest.Authority(t, waybill.Claims(Cell))
	ctx := waybilltest.Context(t, auth, Cell.To("eu-3"))

	fmt.Println(Route(ctx))
	fmt.Println(Route(context.Background()))
	// Output:
	// cell eu-3
	// any cell
}

func ExampleCheckRule() {
	var t exampleTB // in a test, use its *testing.T

	// A rule that keeps the longer of two names depends on the order if their lengths are equal.
	longer := func(_, mine, theirs string) string {
		if len(theirs) > len(mine) {
			return theirs
		}
		return mine
	}
	waybilltest.CheckRule(t, longer, "a", "bb", "cc")
	// Output:
	// rule is not commutative with base "": rule(base, "bb", "cc"), and with the two swapped: "bb" and "cc"
	// rule is not commutative with base "": rule(base, "cc", "bb"), and with the two swapped: "cc" and "bb"
	// rule is not commutative with base "a": rule(base, "bb", "cc"), and with the two swapped: "bb" and "cc"
}

// exampleTB lets a test run inside an example.
type exampleTB struct{ testing.TB }

func (exampleTB) Helper()                           {}
func (exampleTB) Context() context.Context          { return context.Background() }
func (exampleTB) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }
func (exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
