module github.com/waybill-go/waybill/bench

go 1.26.0

require (
	github.com/go-jose/go-jose/v4 v4.1.8
	github.com/golang-jwt/jwt/v5 v5.3.1
	github.com/waybill-go/waybill v0.0.0
)

replace github.com/waybill-go/waybill => ..
