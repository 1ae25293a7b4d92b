Feature: Cart
    What is put into it is in it.

    Background:
        Given an empty cart

    Scenario: One thing
        When I add 1 thing
        Then there is 1 thing

    Scenario Outline: Several things
        When I add <count> things
        Then there are <total> things

        Examples:
            | count | total |
            | 2     | 2     |
            | 3     | 3     |
            | 4     | 5     |

    @wip
    Scenario: A missing step
        When I do what nobody has defined
        Then there is 1 thing
